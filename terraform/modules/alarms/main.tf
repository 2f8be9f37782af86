# What wakes somebody up, and where that somebody looks first. docs/operations.md says what to do about each.

data "aws_caller_identity" "here" {}

data "aws_region" "here" {}

resource "aws_sns_topic" "this" {
  name              = "${var.name}-alarms"
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_policy" "this" {
  arn = aws_sns_topic.this.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AlarmsOfThisAccount"
      Effect    = "Allow"
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.this.arn
      Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.here.account_id } }
    }]
  })
}

resource "aws_sns_topic_subscription" "mail" {
  count = var.email == null ? 0 : 1

  topic_arn = aws_sns_topic.this.arn
  protocol  = "email"
  endpoint  = var.email
}

locals {
  topics = concat([aws_sns_topic.this.arn], var.topic_arns)

  chat     = { namespace = var.metrics_namespace, dimensions = { Chat = var.name } }
  balancer = { namespace = "AWS/ApplicationELB", dimensions = { LoadBalancer = var.balancer_arn_suffix } }
  targets = {
    namespace  = "AWS/ApplicationELB"
    dimensions = { LoadBalancer = var.balancer_arn_suffix, TargetGroup = var.target_group_arn_suffix }
  }
  group   = { namespace = "AWS/AutoScaling", dimensions = { AutoScalingGroupName = var.group_name } }
  archive = { namespace = "AWS/DynamoDB", dimensions = { TableName = var.table_name } }

  # minutes: in a row. missing: what it means when there is no number at all.
  alarms = merge(
    {
      no-leader = merge(local.chat, {
        about     = "No worker leads: nothing is archived, and the message log fills up. See docs/leadership.md."
        metric    = "Leader"
        statistic = "Maximum"
        below     = 1
        minutes   = 3
        missing   = "breaching"
      })
      archive-lag = merge(local.chat, {
        about     = "The archive is more than ten minutes behind."
        metric    = "CompactionLag"
        statistic = "Maximum"
        above     = 600
        minutes   = 5
        missing   = "notBreaching" # then nobody leads, which is its own alarm
      })
      rooms-stuck = merge(local.chat, {
        about     = "Rooms cannot be archived: dchat admin lag says which, and why."
        metric    = "RoomsStuck"
        statistic = "Maximum"
        above     = 0
        minutes   = 10
        missing   = "notBreaching"
      })
      log-unreadable = merge(local.chat, {
        about     = "A worker cannot read the message log; its streams are degraded."
        metric    = "LogReaderAlive"
        statistic = "Minimum"
        below     = 1
        minutes   = 2
        missing   = "breaching"
      })
      refused-for-the-log = merge(local.chat, {
        about     = "Requests are answered 503: the message log is full, away, or does not keep the promise of DCHAT_ACK."
        metric    = "RefusedForTheLog"
        statistic = "Sum"
        above     = 0
        minutes   = 3
        missing   = "notBreaching" # then no worker tells anything, which is log-unreadable
      })
      mistakes = merge(local.chat, {
        about     = "A worker answered 500: a defect. Its log has request_failed with a traceback."
        metric    = "Mistakes"
        statistic = "Sum"
        above     = 0
        minutes   = 1
        missing   = "notBreaching"
      })
      log-lost-data = merge(local.chat, {
        about     = "A shard of the message log lost data and does not have it back yet."
        metric    = "ShardsBehind"
        statistic = "Maximum"
        above     = 0
        minutes   = 15
        missing   = "notBreaching"
      })
      loop-lag = merge(local.chat, {
        about     = "A worker is held up: too much for one process."
        metric    = "LoopLag"
        statistic = "Maximum"
        above     = 0.5
        minutes   = 5
        missing   = "notBreaching"
      })
      balancer-5xx = merge(local.balancer, {
        about     = "The balancer itself answers 5xx: no worker answered it."
        metric    = "HTTPCode_ELB_5XX_Count"
        statistic = "Sum"
        above     = 10
        minutes   = 2
        missing   = "notBreaching"
      })
      workers-5xx = merge(local.targets, {
        about     = "Workers answer 5xx."
        metric    = "HTTPCode_Target_5XX_Count"
        statistic = "Sum"
        above     = 50
        minutes   = 3
        missing   = "notBreaching"
      })
      unhealthy-workers = merge(local.targets, {
        about     = "A worker is not ready."
        metric    = "UnHealthyHostCount"
        statistic = "Maximum"
        above     = 0
        minutes   = 5
        missing   = "notBreaching"
      })
      few-workers = merge(local.targets, {
        about     = "Fewer healthy workers than the fewest there should be."
        metric    = "HealthyHostCount"
        statistic = "Minimum"
        below     = var.fewest_workers
        minutes   = 5
        missing   = "breaching"
      })
      as-many-as-may-be = merge(local.group, {
        about     = "There are as many workers as there may be: raise workers.max, or look why."
        metric    = "GroupDesiredCapacity"
        statistic = "Maximum"
        above     = var.most_workers - 1
        minutes   = 60
        missing   = "notBreaching"
      })
      archive-write-throttles = merge(local.archive, {
        about     = "DynamoDB throttles writes to the archive."
        metric    = "WriteThrottleEvents"
        statistic = "Sum"
        above     = 10
        minutes   = 3
        missing   = "notBreaching"
      })
      archive-read-throttles = merge(local.archive, {
        about     = "DynamoDB throttles reads from the archive."
        metric    = "ReadThrottleEvents"
        statistic = "Sum"
        above     = 10
        minutes   = 3
        missing   = "notBreaching"
      })
    },
    {
      for place, node in var.log_nodes : "log-memory-${place}" => merge(node, {
        about     = "The message log's memory fills up; when it is full, nothing can be sent."
        metric    = "DatabaseMemoryUsagePercentage"
        statistic = "Maximum"
        above     = 75
        minutes   = 5
        missing   = "notBreaching"
      })
    },
    {
      for place, node in var.log_nodes : "log-cpu-${place}" => merge(node, {
        about     = "The message log's engine is busy: it has one thread a shard."
        metric    = "EngineCPUUtilization"
        statistic = "Average"
        above     = 80
        minutes   = 10
        missing   = "notBreaching"
      })
    },
    {
      for place, id in var.ensemble_instance_ids : "zookeeper-${place}" => {
        about      = "A machine of the ensemble is not well. Two are a quorum; see to it before the next one goes."
        namespace  = "AWS/EC2"
        dimensions = { InstanceId = id }
        metric     = "StatusCheckFailed"
        statistic  = "Maximum"
        above      = 0
        minutes    = 5
        missing    = "breaching"
      }
    },
  )
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name        = "${var.name}-${each.key}"
  alarm_description = each.value.about

  namespace   = each.value.namespace
  metric_name = each.value.metric
  dimensions  = each.value.dimensions
  statistic   = each.value.statistic
  period      = 60

  comparison_operator = can(each.value.below) ? "LessThanThreshold" : "GreaterThanThreshold"
  threshold           = try(each.value.below, each.value.above)
  evaluation_periods  = each.value.minutes
  treat_missing_data  = each.value.missing

  alarm_actions = local.topics
  ok_actions    = local.topics
}
