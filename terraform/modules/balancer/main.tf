# The only thing the world can reach. It forwards to whatever joins its target group on port 5000.

locals {
  secure = var.certificate_arn != null
  doors  = local.secure ? toset(["80", "443"]) : toset(["80"])
}

resource "aws_security_group" "balancer" {
  name_prefix = "${var.name}-balancer-"
  description = "The door: in from the allowed addresses, out to the workers"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-balancer" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "world" {
  for_each = { for pair in setproduct(local.doors, var.allowed_cidrs) : "${pair[0]} ${pair[1]}" => { port = pair[0], cidr = pair[1] } }

  security_group_id = aws_security_group.balancer.id
  description       = "HTTP${each.value.port == "443" ? "S" : ""} from ${each.value.cidr}"
  cidr_ipv4         = each.value.cidr
  ip_protocol       = "tcp"
  from_port         = tonumber(each.value.port)
  to_port           = tonumber(each.value.port)
}

resource "aws_vpc_security_group_egress_rule" "workers" {
  security_group_id            = aws_security_group.balancer.id
  description                  = "Requests and health checks to the workers"
  referenced_security_group_id = var.workers_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
}

resource "aws_lb" "this" {
  # checkov:skip=CKV2_AWS_76:The managed rules of firewall.tf are those; checkov does not read rule_json. There is no Java behind it.
  # checkov:skip=CKV2_AWS_28:The firewall is an option (web_firewall): it costs, and workers have limits of their own.
  name               = var.name
  load_balancer_type = "application"
  security_groups    = [aws_security_group.balancer.id]
  subnets            = var.subnet_ids

  idle_timeout               = var.idle_timeout_s
  enable_http2               = true
  drop_invalid_header_fields = true
  enable_deletion_protection = var.deletion_protection

  access_logs {
    bucket  = aws_s3_bucket.access.id
    prefix  = "balancer"
    enabled = true
  }

  # The balancer writes a test file into the bucket when it is made.
  depends_on = [aws_s3_bucket_policy.access, aws_s3_bucket_server_side_encryption_configuration.access]
}

resource "aws_lb_target_group" "workers" {
  # checkov:skip=CKV_AWS_378:From the balancer to the workers it is HTTP within private subnets, which AWS encrypts between machines of most types.
  name_prefix = "chat-"
  vpc_id      = var.vpc_id
  protocol    = "HTTP"
  port        = var.port

  # Streams stay open for hours: whoever has the fewest gets the next one. No stickiness: any worker serves anybody.
  load_balancing_algorithm_type = "least_outstanding_requests"
  deregistration_delay          = var.deregistration_s

  health_check {
    path                = "/readyz"
    matcher             = "200"
    interval            = var.health_every_s
    timeout             = 4
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }

  stickiness {
    type    = "lb_cookie"
    enabled = false
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lb_listener" "http" {
  # checkov:skip=CKV_AWS_2:It redirects to :443. Without a certificate it serves, which has to be asked for (allow_plain_http).
  # checkov:skip=CKV_AWS_103:It redirects; :443 has TLS 1.2 and 1.3.
  # checkov:skip=CKV2_AWS_20:It redirects when there is a certificate; the condition is more than checkov reads.
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"

  default_action {
    type             = local.secure ? "redirect" : "forward"
    target_group_arn = local.secure ? null : aws_lb_target_group.workers.arn

    dynamic "redirect" {
      for_each = local.secure ? [true] : []

      content {
        port        = "443"
        protocol    = "HTTPS"
        status_code = "HTTP_301"
      }
    }
  }
}

resource "aws_lb_listener" "https" {
  count = local.secure ? 1 : 0

  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.workers.arn
  }
}

resource "aws_route53_record" "name" {
  count = var.domain == null ? 0 : 1

  zone_id = var.domain.zone_id
  name    = var.domain.name
  type    = "A"

  alias {
    name                   = aws_lb.this.dns_name
    zone_id                = aws_lb.this.zone_id
    evaluate_target_health = true
  }
}
