# Every time-out of the stack on AWS, in one place. docs/operations.md tells how they fit each other and those of workers and
# clients; tests/unit/stack/test_timeouts.py reads all of them and compares.

locals {
  timeouts = {
    ping_s           = 15  # a worker says ping on a quiet stream (DCHAT_PING_INTERVAL_S)
    idle_s           = 120 # the balancer closes a connection that was silent for so long
    health_every_s   = 5   # the balancer asks /readyz; two failures take a worker out
    deregistration_s = 30  # what the balancer leaves to open requests of a worker that goes

    lifecycle_poll_s = 5   # the machine asks for the group's plan with it
    settle_s         = 5   # then the balancer gets time to stop sending new requests
    drain_s          = 12  # the worker sends its readers elsewhere (DCHAT_DRAIN_S), and is gone 3 s later
    container_stop_s = 20  # Docker kills the container
    unit_stop_s      = 30  # systemd kills what is left
    lifecycle_hook_s = 120 # the group ends the machine even when it never said that it is ready for it

    warmup_s = 120 # a new machine boots, pulls the image and passes /readyz
  }
}
