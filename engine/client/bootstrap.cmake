cpaway_library(engine_bootstrap
  SOURCES agent_binary.cc bootstrap.cc bootstrap_script.cc remote_run.cc
  LINK engine_wire engine_transport)
