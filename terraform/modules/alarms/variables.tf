variable "name" {
  description = "Name of the chat."
  type        = string
}

variable "email" {
  description = "Address that is mailed; null: none."
  type        = string
}

variable "topic_arns" {
  description = "More SNS topics."
  type        = list(string)
}

variable "metrics_namespace" {
  description = "Where the workers' metrics are."
  type        = string
}

variable "balancer_arn_suffix" {
  description = "The balancer."
  type        = string
}

variable "target_group_arn_suffix" {
  description = "Its target group."
  type        = string
}

variable "group_name" {
  description = "The workers' Auto Scaling group."
  type        = string
}

variable "fewest_workers" {
  description = "So many there should always be."
  type        = number
}

variable "most_workers" {
  description = "So many there may be."
  type        = number
}

variable "table_name" {
  description = "The archive."
  type        = string
}

variable "log_nodes" {
  description = "Namespace and dimensions of each machine of the message log."
  type        = map(object({ namespace = string, dimensions = map(string) }))
}

variable "ensemble_instance_ids" {
  description = "The machines of the ensemble, by place."
  type        = map(string)
}

variable "kms_key_arn" {
  description = "Key that encrypts what goes through the topic; null: none."
  type        = string
}
