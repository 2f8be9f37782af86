# One page: the door, the workers, the log, the archive.

locals {
  graphs = [
    { title = "Open streams, all workers", stat = "Sum", metrics = [["${var.metrics_namespace}", "Streams", "Chat", var.name]] },
    { title = "Workers in service", stat = "Maximum", metrics = [
      ["AWS/AutoScaling", "GroupInServiceInstances", "AutoScalingGroupName", var.group_name],
      ["AWS/AutoScaling", "GroupDesiredCapacity", "AutoScalingGroupName", var.group_name],
    ] },
    { title = "CPU of the workers, %", stat = "Average", metrics = [["AWS/EC2", "CPUUtilization", "AutoScalingGroupName", var.group_name]] },
    { title = "Leaders (1)", stat = "Maximum", metrics = [["${var.metrics_namespace}", "Leader", "Chat", var.name]] },
    { title = "Archive behind, s", stat = "Maximum", metrics = [["${var.metrics_namespace}", "CompactionLag", "Chat", var.name]] },
    { title = "Worst loop lag, s", stat = "Maximum", metrics = [["${var.metrics_namespace}", "LoopLag", "Chat", var.name]] },
    { title = "Refused for the log, and mistakes", stat = "Sum", metrics = [
      for metric in ["RefusedForTheLog", "Mistakes"] : ["${var.metrics_namespace}", metric, "Chat", var.name]
    ] },
    { title = "Answers", stat = "Sum", metrics = [
      for code in ["2XX", "4XX", "5XX"] : ["AWS/ApplicationELB", "HTTPCode_Target_${code}_Count", "LoadBalancer", var.balancer_arn_suffix]
    ] },
    { title = "Answer time, s (streams count until they end)", stat = "p99", metrics = [["AWS/ApplicationELB", "TargetResponseTime", "LoadBalancer", var.balancer_arn_suffix]] },
    { title = "Memory of the message log, %", stat = "Maximum", metrics = [
      for place, node in var.log_nodes : concat([node.namespace, "DatabaseMemoryUsagePercentage"], flatten([for key, value in node.dimensions : [key, value]]))
    ] },
    { title = "Engine CPU of the message log, %", stat = "Maximum", metrics = [
      for place, node in var.log_nodes : concat([node.namespace, "EngineCPUUtilization"], flatten([for key, value in node.dimensions : [key, value]]))
    ] },
    { title = "Write units of the archive", stat = "Sum", metrics = [["AWS/DynamoDB", "ConsumedWriteCapacityUnits", "TableName", var.table_name]] },
    { title = "Read units of the archive", stat = "Sum", metrics = [["AWS/DynamoDB", "ConsumedReadCapacityUnits", "TableName", var.table_name]] },
  ]
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name

  dashboard_body = jsonencode({
    widgets = concat(
      [{
        type       = "alarm", x = 0, y = 0, width = 24, height = 3
        properties = { title = "Alarms", alarms = [for alarm in aws_cloudwatch_metric_alarm.this : alarm.arn] }
      }],
      [for place, graph in local.graphs : {
        type = "metric", x = place % 3 * 8, y = 3 + floor(place / 3) * 6, width = 8, height = 6
        properties = {
          title  = graph.title, stat = graph.stat, metrics = graph.metrics, period = 60, view = "timeSeries",
          region = data.aws_region.here.region, yAxis = { left = { min = 0 } }
        }
      }],
    )
  })
}
