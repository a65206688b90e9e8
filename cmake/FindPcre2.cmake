# Finds the 8-bit PCRE2 library and makes the target pcre2::pcre2_8. Installed beside tfmConfig.cmake for programs that
# link a static tfm built with it.
#   Pcre2_FOUND, Pcre2_INCLUDE_DIR, Pcre2_LIBRARY
find_path(Pcre2_INCLUDE_DIR pcre2.h)
find_library(Pcre2_LIBRARY NAMES pcre2-8 pcre2-8-static)
mark_as_advanced(Pcre2_INCLUDE_DIR Pcre2_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Pcre2 REQUIRED_VARS Pcre2_LIBRARY Pcre2_INCLUDE_DIR)

if(Pcre2_FOUND AND NOT TARGET pcre2::pcre2_8)
    add_library(pcre2::pcre2_8 UNKNOWN IMPORTED)
    set_target_properties(pcre2::pcre2_8 PROPERTIES
        IMPORTED_LOCATION "${Pcre2_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${Pcre2_INCLUDE_DIR}")
endif()
