# Finds OpenBLAS and makes the target openblas::openblas. The serial build is the one to install: tfm brings its own
# threads, and a threaded BLAS would start more behind the host's back.
#   OpenBlas_FOUND, OpenBlas_INCLUDE_DIR, OpenBlas_LIBRARY
find_path(OpenBlas_INCLUDE_DIR openblas_config.h
    PATH_SUFFIXES openblas-serial openblas ${CMAKE_LIBRARY_ARCHITECTURE}/openblas-serial ${CMAKE_LIBRARY_ARCHITECTURE})
find_library(OpenBlas_LIBRARY NAMES openblas PATH_SUFFIXES openblas-serial)
mark_as_advanced(OpenBlas_INCLUDE_DIR OpenBlas_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenBlas REQUIRED_VARS OpenBlas_LIBRARY OpenBlas_INCLUDE_DIR)

if(OpenBlas_FOUND AND NOT TARGET openblas::openblas)
    add_library(openblas::openblas UNKNOWN IMPORTED)
    set_target_properties(openblas::openblas PROPERTIES
        IMPORTED_LOCATION "${OpenBlas_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${OpenBlas_INCLUDE_DIR}")
endif()
