variable "name" {
  description = "Name of the chat."
  type        = string
}

variable "tags" {
  description = "Tags of machines and disks."
  type        = map(string)
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, one a zone."
  type        = list(string)
}

variable "port" {
  description = "Port that the workers listen on."
  type        = number
}

variable "balancer_security_group_id" {
  description = "Who may connect."
  type        = string
}

variable "log_security_group_id" {
  description = "Message log."
  type        = string
}

variable "ensemble_security_group_id" {
  description = "ZooKeeper."
  type        = string
}

variable "ensemble_port" {
  description = "ZooKeeper's TLS port."
  type        = number
}

variable "target_group_arn" {
  description = "What workers join."
  type        = string
}

variable "ami_id" {
  description = "Amazon Linux 2023, of the machines' architecture."
  type        = string
}

variable "instance_type" {
  description = "Type of the machines."
  type        = string
}

variable "image" {
  description = "Image of D-Chat, by digest."
  type        = string
}

variable "image_repository_arn" {
  description = "Its ECR repository; null: a public image."
  type        = string
}

variable "min" {
  description = "Fewest machines."
  type        = number
}

variable "max" {
  description = "Most machines."
  type        = number
}

variable "cpu_percent" {
  description = "Mean CPU above which there is one more."
  type        = number
}

variable "streams_each" {
  description = "Mean of open streams above which there is one more."
  type        = number
}

variable "settings" {
  description = "DCHAT_ variables, nothing secret."
  type        = map(string)
}

variable "secret_arn" {
  description = "What the worker shows to ZooKeeper, in Secrets Manager."
  type        = string
}

variable "archive_table_arn" {
  description = "The archive."
  type        = string
}

variable "files_bucket_arn" {
  description = "Attachments and exports."
  type        = string
}

variable "log_sign_in" {
  description = "Action and resources for signing in to the message log."
  type        = object({ action = string, resources = list(string) })
}

variable "kms_key_arn" {
  description = "Key of disks, secret, archive and files; null: AWS' own."
  type        = string
}

variable "timeouts" {
  description = "See timeouts.tf of the root."
  type        = map(number)
}

variable "log_retention_days" {
  description = "Days that logs are kept."
  type        = number
}
