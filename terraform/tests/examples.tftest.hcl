# Both examples come up, and are what the README says they are.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  image = "registry.example/dchat@sha256:0000000000000000000000000000000000000000000000000000000000000000"

  zookeeper_secrets = {
    password    = "a-password-of-the-tests-which-is-none"
    ca          = "ca"
    server      = "server"
    worker_cert = "cert"
    worker_key  = "key"
  }
}

run "small" {
  module {
    source = "./examples/small"
  }

  variables {
    allowed_cidrs = ["203.0.113.0/24"]
  }

  assert {
    condition     = output.url == "http://chat.example.elb.amazonaws.com"
    error_message = "Without a certificate the small one is plain HTTP."
  }

  assert {
    condition     = output.workers_group_name == "dchat-workers" && length(output.zookeeper_servers) == 3
    error_message = "Workers or ensemble are missing."
  }
}

run "large" {
  module {
    source = "./examples/large"
  }

  variables {
    certificate_arn = "arn:aws:acm:eu-central-1:111122223333:certificate/1"
    domain          = { zone_id = "Z1", name = "chat.example.com" }
  }

  assert {
    condition     = output.url == "https://chat.example.com"
    error_message = "The large one has a name and TLS."
  }
}
