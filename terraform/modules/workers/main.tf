# The workers: an Auto Scaling group over three zones, a container a machine. Workers keep nothing; a machine that goes
# drains first, see lifecycle.sh.

data "aws_caller_identity" "here" {}

data "aws_partition" "here" {}

data "aws_region" "here" {}

locals {
  metrics_namespace = "DChat"
  hook_name         = "drain"

  settings = merge(
    {
      DCHAT_TRUSTED_PROXIES = "1" # the balancer
      DCHAT_DATA_DIR        = "/tmp/dchat"
      DCHAT_LOG_FORMAT      = "json"
    },
    var.settings,
    {
      DCHAT_HOST            = "0.0.0.0"
      DCHAT_PORT            = tostring(var.port)
      DCHAT_PING_INTERVAL_S = tostring(var.timeouts.ping_s)
      DCHAT_DRAIN_S         = tostring(var.timeouts.drain_s)
    },
  )

  user_data = templatefile("${path.module}/files/cloud-init.yaml.tftpl", {
    settings = base64encode(join("", [for key in sort(keys(local.settings)) : "${key}=${local.settings[key]}\n"]))
    scripts  = { for script in ["secrets.sh", "pull.sh", "run.sh", "lifecycle.sh", "metrics.sh"] : script => filebase64("${path.module}/files/${script}") }
    units = merge(
      { for unit in ["dchat-lifecycle.service", "dchat-metrics.service", "dchat-metrics.timer"] : unit => filebase64("${path.module}/files/${unit}") },
      { "dchat.service" = base64encode(templatefile("${path.module}/files/dchat.service.tftpl", var.timeouts)) },
    )
    stack = base64encode(join("\n", [
      "IMAGE=${var.image}",
      "REGION=${data.aws_region.here.region}",
      "PORT=${var.port}",
      "SECRET_ARN=${var.secret_arn}",
      "LOG_GROUP=${aws_cloudwatch_log_group.this.name}",
      "METRICS_NAMESPACE=${local.metrics_namespace}",
      "CHAT=${var.name}",
      "GROUP=${var.name}-workers",
      "HOOK=${local.hook_name}",
      "POLL_S=${var.timeouts.lifecycle_poll_s}",
      "SETTLE_S=${var.timeouts.settle_s}",
      "",
    ]))
  })
}

resource "aws_security_group" "workers" {
  name_prefix = "${var.name}-workers-"
  description = "Workers: in from the balancer"
  vpc_id      = var.vpc_id

  tags = { Name = "${var.name}-workers" }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  security_group_id            = aws_security_group.workers.id
  description                  = "Requests and health checks from the balancer"
  referenced_security_group_id = var.balancer_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
}

resource "aws_vpc_security_group_egress_rule" "log" {
  security_group_id            = aws_security_group.workers.id
  description                  = "Message log"
  referenced_security_group_id = var.log_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 6379
  to_port                      = 6379
}

resource "aws_vpc_security_group_egress_rule" "ensemble" {
  security_group_id            = aws_security_group.workers.id
  description                  = "ZooKeeper, by TLS"
  referenced_security_group_id = var.ensemble_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.ensemble_port
  to_port                      = var.ensemble_port
}

resource "aws_vpc_security_group_egress_rule" "https" {
  security_group_id = aws_security_group.workers.id
  description       = "Archive and files through their end points; AWS' other services, packages and the image registry"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_launch_template" "this" {
  name                   = "${var.name}-workers"
  image_id               = var.ami_id
  instance_type          = var.instance_type
  update_default_version = true
  ebs_optimized          = true
  user_data              = base64gzip(local.user_data)
  vpc_security_group_ids = [aws_security_group.workers.id]

  iam_instance_profile {
    arn = aws_iam_instance_profile.this.arn
  }

  # One hop: a container with a network of its own could not ask for the machine's role.
  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = 1
  }

  monitoring {
    enabled = true # scaling by CPU looks every minute
  }

  block_device_mappings {
    device_name = "/dev/xvda"

    ebs {
      volume_type           = "gp3"
      volume_size           = 12
      encrypted             = true
      kms_key_id            = var.kms_key_arn
      delete_on_termination = true
    }
  }

  dynamic "tag_specifications" {
    for_each = toset(["instance", "volume", "network-interface"])

    content {
      resource_type = tag_specifications.value
      tags          = merge(var.tags, { Name = "${var.name}-worker" })
    }
  }

  depends_on = [aws_iam_role_policy.this, aws_iam_role_policy_attachment.session]
}

resource "aws_autoscaling_group" "this" {
  name                = "${var.name}-workers"
  min_size            = var.min
  max_size            = var.max
  desired_capacity    = var.min
  vpc_zone_identifier = var.subnet_ids
  target_group_arns   = [var.target_group_arn]

  health_check_type         = "ELB"
  health_check_grace_period = 300
  default_instance_warmup   = var.timeouts.warmup_s
  # One more than needed is there before the last one goes.
  wait_for_elb_capacity     = var.min
  wait_for_capacity_timeout = "15m"

  enabled_metrics = ["GroupInServiceInstances", "GroupDesiredCapacity", "GroupTerminatingInstances", "GroupPendingInstances"]

  launch_template {
    id = aws_launch_template.this.id
    # A number, not $Latest: it is what a refresh compares and rolls back to.
    version = aws_launch_template.this.latest_version
  }

  # A new image or setting replaces machines one after another: first a new one, then an old one drains and goes. When
  # the new ones do not become healthy, it goes back by itself.
  instance_refresh {
    strategy = "Rolling"

    preferences {
      min_healthy_percentage = 100
      max_healthy_percentage = 134
      instance_warmup        = var.timeouts.warmup_s
      auto_rollback          = true
      skip_matching          = true
    }
  }

  dynamic "tag" {
    for_each = merge(var.tags, { Name = "${var.name}-worker" })

    content {
      key                 = tag.key
      value               = tag.value
      propagate_at_launch = false # the launch template does that, for disks as well
    }
  }

  lifecycle {
    # Scaling decides, not the last apply.
    ignore_changes = [desired_capacity]
  }
}

# A machine that is to end has so long to say that it has drained.
resource "aws_autoscaling_lifecycle_hook" "drain" {
  name                   = local.hook_name
  autoscaling_group_name = aws_autoscaling_group.this.name
  lifecycle_transition   = "autoscaling:EC2_INSTANCE_TERMINATING"
  heartbeat_timeout      = var.timeouts.lifecycle_hook_s
  default_result         = "CONTINUE"
}

resource "aws_autoscaling_policy" "cpu" {
  name                   = "${var.name}-cpu"
  autoscaling_group_name = aws_autoscaling_group.this.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = var.cpu_percent

    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}

# Requests a worker, which the balancer knows, say nothing about streams that stay open; so workers tell it themselves.
resource "aws_autoscaling_policy" "streams" {
  name                   = "${var.name}-streams"
  autoscaling_group_name = aws_autoscaling_group.this.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = var.streams_each

    customized_metric_specification {
      namespace   = local.metrics_namespace
      metric_name = "Streams"
      statistic   = "Average"
      unit        = "Count"

      metric_dimension {
        name  = "Chat"
        value = var.name
      }
    }
  }
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/${var.name}/workers"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.kms_key_arn
}
