output "table_name" {
  description = "The table."
  value       = aws_dynamodb_table.this.name
}

output "table_arn" {
  description = "Its ARN."
  value       = aws_dynamodb_table.this.arn
}
