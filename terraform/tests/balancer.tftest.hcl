# The door: what is open, to whom, and for how long.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name                      = "chat"
  vpc_id                    = "vpc-1"
  subnet_ids                = ["subnet-1", "subnet-2", "subnet-3"]
  workers_security_group_id = "sg-workers"
  port                      = 5000
  allowed_cidrs             = ["0.0.0.0/0"]
  certificate_arn           = "arn:aws:acm:eu-central-1:111122223333:certificate/1"
  domain                    = null
  web_firewall              = false
  requests_per_address      = 20000
  idle_timeout_s            = 120
  deregistration_s          = 30
  health_every_s            = 5
  deletion_protection       = true
  log_retention_days        = 30
}

run "with_a_certificate" {
  module {
    source = "./modules/balancer"
  }

  assert {
    condition     = aws_lb_target_group.workers.port == 5000 && aws_lb_target_group.workers.health_check[0].path == "/readyz"
    error_message = "Workers are on port 5000, and asked whether they are ready."
  }

  assert {
    condition     = aws_lb_target_group.workers.load_balancing_algorithm_type == "least_outstanding_requests" && !aws_lb_target_group.workers.stickiness[0].enabled
    error_message = "Streams go to whoever has the fewest, and nobody sticks."
  }

  assert {
    condition     = aws_lb_listener.http.default_action[0].type == "redirect" && aws_lb_listener.http.default_action[0].redirect[0].port == "443"
    error_message = ":80 sends people to :443."
  }

  assert {
    condition     = startswith(aws_lb_listener.https[0].ssl_policy, "ELBSecurityPolicy-TLS13-1-2-")
    error_message = "TLS 1.2 is the oldest."
  }

  assert {
    condition     = aws_lb.this.idle_timeout == 120 && tonumber(aws_lb_target_group.workers.deregistration_delay) == 30
    error_message = "Time-outs of the balancer are not those it was given."
  }

  assert {
    condition     = aws_lb.this.drop_invalid_header_fields && aws_lb.this.enable_deletion_protection && aws_lb.this.access_logs[0].enabled && length(aws_lb.this.subnets) == 3
    error_message = "The balancer is to be careful, protected, logged and in three zones."
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.world : rule.from_port]) == toset([80, 443])
    error_message = "Only 80 and 443 are open."
  }

  assert {
    condition     = aws_vpc_security_group_egress_rule.workers.referenced_security_group_id == "sg-workers"
    error_message = "The balancer talks to workers alone."
  }

  assert {
    condition     = length(aws_wafv2_web_acl.this) == 0 && length(aws_route53_record.name) == 0
    error_message = "Firewall and name are options."
  }
}

run "without_a_certificate" {
  module {
    source = "./modules/balancer"
  }

  variables {
    certificate_arn = null
    allowed_cidrs   = ["203.0.113.0/24", "198.51.100.0/24"]
  }

  assert {
    condition     = aws_lb_listener.http.default_action[0].type == "forward" && length(aws_lb_listener.https) == 0
    error_message = "Without a certificate :80 serves the chat."
  }

  assert {
    condition     = toset([for rule in aws_vpc_security_group_ingress_rule.world : "${rule.cidr_ipv4} ${rule.from_port}"]) == toset(["203.0.113.0/24 80", "198.51.100.0/24 80"])
    error_message = "Who may come in is not who was allowed to."
  }
}

run "with_a_firewall_and_a_name" {
  module {
    source = "./modules/balancer"
  }

  variables {
    web_firewall = true
    domain       = { zone_id = "Z1", name = "chat.example.com" }
  }

  assert {
    condition     = aws_wafv2_web_acl_association.this[0].resource_arn == aws_lb.this.arn && length(jsondecode(aws_wafv2_web_acl.this[0].rule_json)) == 2
    error_message = "The firewall does not stand before the balancer."
  }

  assert {
    condition     = aws_route53_record.name[0].name == "chat.example.com"
    error_message = "The name is missing."
  }
}
