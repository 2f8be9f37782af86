output "dns_name" {
  description = "AWS' own name of the balancer."
  value       = aws_lb.this.dns_name
}

output "arn_suffix" {
  description = "The balancer, as CloudWatch calls it."
  value       = aws_lb.this.arn_suffix
}

output "target_group_arn" {
  description = "What workers join."
  value       = aws_lb_target_group.workers.arn
}

output "target_group_arn_suffix" {
  description = "The target group, as CloudWatch calls it."
  value       = aws_lb_target_group.workers.arn_suffix
}

output "security_group_id" {
  description = "Where the workers' requests come from."
  value       = aws_security_group.balancer.id
}
