# cmake -DSCDOC= -DSOURCE= -DPAGE= -DPROGRAM= "-DARGUMENTS=" -P make.cmake
separate_arguments(ARGUMENTS)
execute_process(COMMAND ${PROGRAM} ${ARGUMENTS} --man-options OUTPUT_VARIABLE options COMMAND_ERROR_IS_FATAL ANY)
file(READ ${SOURCE} text)
string(REPLACE "@OPTIONS@" "${options}" text "${text}")
file(WRITE ${PAGE}.scd "${text}")
execute_process(COMMAND ${SCDOC} INPUT_FILE ${PAGE}.scd OUTPUT_FILE ${PAGE}
    COMMAND_ERROR_IS_FATAL ANY)
