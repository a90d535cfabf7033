# One static binary that runs on any Linux of its architecture, whatever libraries it has.
add_executable(cpaway-agent cpaway_agent.cc)
target_link_libraries(cpaway-agent PRIVATE engine_agent_static)
target_link_options(cpaway-agent PRIVATE -static -Wl,--gc-sections
  $<$<NOT:$<CONFIG:Debug>>:-s>)
# Else CMake asks for shared libraries again behind libcrypto.a.
set_target_properties(cpaway-agent PROPERTIES LINK_SEARCH_START_STATIC ON LINK_SEARCH_END_STATIC ON)
