# What tfm stands on. Sets, for the optional parts that are built in:
#   TFM_OPTIONAL_LIBRARIES    targets to link
#   TFM_OPTIONAL_DEFINITIONS  TFM_HAVE_...: macros that the sources look at
#   TFM_OPTIONAL_PACKAGES     names of the find modules, for tfmConfig.cmake and tfm.pc
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)

set(TFM_OPTIONAL_LIBRARIES "")
set(TFM_OPTIONAL_DEFINITIONS "")
set(TFM_OPTIONAL_PACKAGES "")

# tfm_optional_part(SWITCH PACKAGE TARGET DEFINITION USED|WAITING)
# The switch is AUTO (take it if it is there), ON (it must be there) or OFF. A part that is WAITING is looked for, but no
# source calls it yet: it is not linked, so that no program carries it for nothing, and tfm_capability says no.
macro(tfm_optional_part switch package target definition use)
    if(NOT "${${switch}}" STREQUAL "OFF")
        if("${${switch}}" STREQUAL "AUTO")
            find_package(${package} QUIET)
        else()
            find_package(${package} REQUIRED)
        endif()
        if(${package}_FOUND AND "${use}" STREQUAL "USED")
            message(STATUS "tfm: with ${package}")
            list(APPEND TFM_OPTIONAL_LIBRARIES ${target})
            list(APPEND TFM_OPTIONAL_DEFINITIONS ${definition})
            list(APPEND TFM_OPTIONAL_PACKAGES ${package})
        elseif(${package}_FOUND)
            message(STATUS "tfm: ${package} found; nothing in this version calls it")
        endif()
    endif()
endmacro()

tfm_optional_part(TFM_WITH_PCRE2 Pcre2 pcre2::pcre2_8 TFM_HAVE_PCRE2 USED)
tfm_optional_part(TFM_WITH_OPENBLAS OpenBlas openblas::openblas TFM_HAVE_OPENBLAS WAITING)
