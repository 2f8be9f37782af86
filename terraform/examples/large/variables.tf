variable "region" {
  description = "AWS region."
  type        = string
  default     = "eu-central-1"
}

variable "name" {
  description = "Name of the chat."
  type        = string
  default     = "dchat"
}

variable "image" {
  description = "Image of D-Chat, by digest."
  type        = string
}

variable "image_repository_arn" {
  description = "Its ECR repository; null for a public image."
  type        = string
  default     = null
}

variable "certificate_arn" {
  description = "ACM certificate of domain.name."
  type        = string
}

variable "domain" {
  description = "Route 53 zone, and the chat's name in it."
  type        = object({ zone_id = string, name = string })
}

variable "allowed_cidrs" {
  description = "Who may reach the chat."
  type        = list(string)
  default     = ["0.0.0.0/0"]
}

variable "alarm_email" {
  description = "Address that alarms are mailed to."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "false before terraform destroy."
  type        = bool
  default     = true
}

variable "zookeeper_secrets" {
  description = "As scripts/zookeeper-secrets.sh writes them."
  type = object({
    password    = string
    ca          = string
    server      = string
    worker_cert = string
    worker_key  = string
  })
  default   = null
  ephemeral = true
  sensitive = true
}

variable "zookeeper_secrets_version" {
  description = "One more whenever they are new."
  type        = number
  default     = 1
}
