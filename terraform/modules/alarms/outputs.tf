output "topic_arn" {
  description = "Where alarms go; subscribe what you like."
  value       = aws_sns_topic.this.arn
}

output "dashboard_name" {
  description = "The dashboard in CloudWatch."
  value       = aws_cloudwatch_dashboard.this.dashboard_name
}
