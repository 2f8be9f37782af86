variable "name" {
  description = "Name of the chat."
  type        = string
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Public subnets, one a zone."
  type        = list(string)
}

variable "workers_security_group_id" {
  description = "Where requests go."
  type        = string
}

variable "port" {
  description = "Port of the workers."
  type        = number
}

variable "allowed_cidrs" {
  description = "Who may come in."
  type        = list(string)
}

variable "certificate_arn" {
  description = "ACM certificate; null: plain HTTP."
  type        = string
}

variable "domain" {
  description = "Route 53 zone and name; null: none."
  type        = object({ zone_id = string, name = string })
}

variable "web_firewall" {
  description = "Whether AWS WAF stands before it."
  type        = bool
}

variable "requests_per_address" {
  description = "Requests in five minutes, with web_firewall."
  type        = number
}

variable "idle_timeout_s" {
  description = "Seconds after which a silent connection is closed."
  type        = number
}

variable "deregistration_s" {
  description = "Seconds that open requests of a worker that goes are left to it."
  type        = number
}

variable "health_every_s" {
  description = "Seconds between two health checks."
  type        = number
}

variable "deletion_protection" {
  description = "Whether it refuses to be deleted."
  type        = bool
}

variable "log_retention_days" {
  description = "Days that the firewall's log is kept."
  type        = number
}
