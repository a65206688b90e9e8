# Install rules: headers, libraries, tfm.pc, and the CMake package (find_package(tfm) gives tfm::tfm and
# tfm::tfm_static). The prefix is never written into a file: everything can be moved as a whole.
include(CMakePackageConfigHelpers)
set(tfm_cmake_dir "${CMAKE_INSTALL_LIBDIR}/cmake/tfm")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/tfm" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    FILES_MATCHING PATTERN "*.h")
install(FILES "${PROJECT_SOURCE_DIR}/bindings/cpp/include/tfm.hpp" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" "${PROJECT_SOURCE_DIR}/THIRD_PARTY.md"
    DESTINATION "${CMAKE_INSTALL_DOCDIR}")

# Two files of targets: a program that links the shared library needs nothing of what is inside it.
foreach(kind shared static)
    if(kind STREQUAL "shared")
        set(tfm_target tfm)
    else()
        set(tfm_target tfm_static)
    endif()
    if(TARGET ${tfm_target})
        install(TARGETS ${tfm_target} EXPORT tfm-${kind}
            LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
            ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
            RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
        install(EXPORT tfm-${kind} NAMESPACE tfm:: DESTINATION "${tfm_cmake_dir}"
            FILE tfm-${kind}-targets.cmake)
    endif()
endforeach()

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/tfmConfig.cmake.in"
    "${PROJECT_BINARY_DIR}/tfmConfig.cmake" INSTALL_DESTINATION "${tfm_cmake_dir}")
# Before 1.0 a minor release may change the interface.
write_basic_package_version_file("${PROJECT_BINARY_DIR}/tfmConfigVersion.cmake" COMPATIBILITY SameMinorVersion)
set(tfm_find_modules "")
foreach(package ${TFM_OPTIONAL_PACKAGES})
    list(APPEND tfm_find_modules "${PROJECT_SOURCE_DIR}/cmake/Find${package}.cmake")
endforeach()
install(FILES "${PROJECT_BINARY_DIR}/tfmConfig.cmake" "${PROJECT_BINARY_DIR}/tfmConfigVersion.cmake"
    ${tfm_find_modules} DESTINATION "${tfm_cmake_dir}")

# tfm.pc finds its prefix from where it lies, unless a directory is absolute.
foreach(dir LIBDIR INCLUDEDIR)
    if(IS_ABSOLUTE "${CMAKE_INSTALL_${dir}}")
        set(TFM_PC_${dir} "${CMAKE_INSTALL_${dir}}")
    else()
        set(TFM_PC_${dir} "\${prefix}/${CMAKE_INSTALL_${dir}}")
    endif()
endforeach()
if(IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    set(TFM_PC_PREFIX "${CMAKE_INSTALL_PREFIX}")
else()
    file(RELATIVE_PATH tfm_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
    string(REGEX REPLACE "/$" "" tfm_up "${tfm_up}")
    set(TFM_PC_PREFIX "\${pcfiledir}/${tfm_up}")
endif()
# Libs.private rather than Requires.private: with the latter, pkg-config refuses even `--cflags` of the shared library
# where the development packages of what is inside it are missing. A library outside the linker's own folders is told
# with its folder.
set(TFM_PC_LIBS_PRIVATE "")
foreach(package ${TFM_OPTIONAL_PACKAGES})
    get_filename_component(tfm_folder "${${package}_LIBRARY}" DIRECTORY)
    if(NOT tfm_folder IN_LIST CMAKE_C_IMPLICIT_LINK_DIRECTORIES)
        string(APPEND TFM_PC_LIBS_PRIVATE "-L${tfm_folder} ")
    endif()
    get_filename_component(tfm_name "${${package}_LIBRARY}" NAME_WE)
    string(REGEX REPLACE "^lib" "" tfm_name "${tfm_name}")
    string(APPEND TFM_PC_LIBS_PRIVATE "-l${tfm_name} ")
endforeach()
configure_file("${PROJECT_SOURCE_DIR}/tfm.pc.in" "${PROJECT_BINARY_DIR}/tfm.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/tfm.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
