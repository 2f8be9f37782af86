# What must be refused before anything is made.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  certificate_arn = "arn:aws:acm:eu-central-1:111122223333:certificate/1"
  image           = "registry.example/dchat@sha256:0000000000000000000000000000000000000000000000000000000000000000"
}

run "refuses_plain_http_unless_it_is_asked_for" {
  command = plan

  variables {
    certificate_arn = null
  }

  expect_failures = [var.certificate_arn]
}

run "refuses_a_certificate_that_is_none" {
  command = plan

  variables {
    certificate_arn = "chat.example.com"
  }

  expect_failures = [var.certificate_arn]
}

run "refuses_fewer_workers_than_zones" {
  command = plan

  variables {
    workers = { min = 2 }
  }

  expect_failures = [var.workers]
}

run "refuses_fewer_at_most_than_at_least" {
  command = plan

  variables {
    workers = { min = 4, max = 3 }
  }

  expect_failures = [var.workers]
}

run "refuses_an_unknown_architecture" {
  command = plan

  variables {
    workers = { architecture = "sparc" }
  }

  expect_failures = [var.workers]
}

run "refuses_more_streams_than_a_worker_can_take_over" {
  command = plan

  variables {
    workers = { streams_each = 20000 }
  }

  expect_failures = [var.workers]
}

run "refuses_an_image_by_tag" {
  command = plan

  variables {
    image = "registry.example/dchat:latest"
  }

  expect_failures = [var.image]
}

run "refuses_a_log_that_forgets" {
  command = plan

  variables {
    log = { kind = "redis" }
  }

  expect_failures = [var.log]
}

run "refuses_a_log_without_replica" {
  command = plan

  variables {
    log = { replicas = 0 }
  }

  expect_failures = [var.log]
}

run "refuses_durable_elasticache_on_t4g" {
  command = plan

  variables {
    log = { kind = "elasticache", node_type = "cache.t4g.small" }
  }

  expect_failures = [var.log]
}

run "refuses_durable_elasticache_with_tiered_data" {
  command = plan

  variables {
    log = { kind = "elasticache", node_type = "cache.r6gd.xlarge" }
  }

  expect_failures = [var.log]
}

run "refuses_a_memorydb_of_elasticache_nodes" {
  command = plan

  variables {
    log = { kind = "memorydb", node_type = "cache.m7g.large" }
  }

  expect_failures = [var.log]
}

run "refuses_zookeeper_of_any_version" {
  command = plan

  variables {
    ensemble = { image = "zookeeper:latest" }
  }

  expect_failures = [var.ensemble]
}

run "refuses_a_vpc_that_is_too_small" {
  command = plan

  variables {
    vpc_cidr = "10.0.0.0/24"
  }

  expect_failures = [var.vpc_cidr]
}

run "refuses_two_nat_gateways" {
  command = plan

  variables {
    nat_gateways = 2
  }

  expect_failures = [var.nat_gateways]
}

run "refuses_to_let_nobody_in" {
  command = plan

  variables {
    allowed_cidrs = []
  }

  expect_failures = [var.allowed_cidrs]
}

run "refuses_an_address_that_is_none" {
  command = plan

  variables {
    allowed_cidrs = ["the office"]
  }

  expect_failures = [var.allowed_cidrs]
}

run "refuses_a_name_that_is_too_long" {
  command = plan

  variables {
    name = "a-name-that-is-too-long-for-a-balancer"
  }

  expect_failures = [var.name]
}

run "refuses_a_secret_among_the_settings" {
  command = plan

  variables {
    settings = { DCHAT_ZOOKEEPER_SASL = "dchat:oops" }
  }

  expect_failures = [var.settings]
}

run "refuses_a_drain_that_does_not_fit_the_others" {
  command = plan

  variables {
    settings = { DCHAT_DRAIN_S = "600" }
  }

  expect_failures = [var.settings]
}

run "refuses_settings_of_others" {
  command = plan

  variables {
    settings = { AWS_SECRET_ACCESS_KEY = "oops" }
  }

  expect_failures = [var.settings]
}

run "refuses_secrets_for_a_collector" {
  command = plan

  variables {
    settings = { DCHAT_TRACES = "yes", OTEL_EXPORTER_OTLP_HEADERS = "api-key=oops" }
  }

  expect_failures = [var.settings]
}

run "refuses_a_setting_of_two_lines" {
  command = plan

  variables {
    settings = { DCHAT_LOG_LEVEL = "info\nDCHAT_PORT=1" }
  }

  expect_failures = [var.settings]
}

run "refuses_days_that_cloudwatch_does_not_know" {
  command = plan

  variables {
    log_retention_days = 42
  }

  expect_failures = [var.log_retention_days]
}

run "refuses_a_mail_address_that_is_none" {
  command = plan

  variables {
    alarm_email = "ops"
  }

  expect_failures = [var.alarm_email]
}

run "refuses_an_ami_that_is_none" {
  command = plan

  variables {
    ami_id = "amazon-linux"
  }

  expect_failures = [var.ami_id]
}

run "refuses_a_short_password" {
  command = plan

  variables {
    zookeeper_secrets = { password = "short", ca = "", server = "", worker_cert = "", worker_key = "" }
  }

  expect_failures = [var.zookeeper_secrets]
}

run "refuses_two_zones_for_three" {
  command = plan

  variables {
    zones = ["eu-central-1a", "eu-central-1b", "eu-central-1b"]
  }

  expect_failures = [var.zones]
}
