variable "name" {
  description = "Name of the chat."
  type        = string
}

variable "kind" {
  description = "elasticache (with synchronous durability) or memorydb."
  type        = string

  validation {
    condition     = contains(["elasticache", "memorydb"], var.kind)
    error_message = "kind is elasticache or memorydb."
  }
}

variable "node_type" {
  description = "Type of its machines; null is the smallest that will do."
  type        = string
}

variable "shards" {
  description = "Parts of the log, each with a primary of its own."
  type        = number
}

variable "replicas" {
  description = "Replicas of each shard, in other zones."
  type        = number
}

variable "snapshot_days" {
  description = "Days that daily snapshots are kept."
  type        = number
}

variable "vpc_id" {
  description = "The VPC."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets, one a zone."
  type        = list(string)
}

variable "workers_security_group_id" {
  description = "Who may connect."
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts data at rest; null: AWS' own."
  type        = string
}

variable "log_retention_days" {
  description = "Days that the slow log is kept."
  type        = number
}
