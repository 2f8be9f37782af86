variable "name" {
  description = "Name of the chat."
  type        = string
}

variable "cidr" {
  description = "Addresses of the VPC."
  type        = string
}

variable "zones" {
  description = "Names of three zones; null: the first three there are."
  type        = list(string)
}

variable "nat_gateways" {
  description = "1, or 3 for one a zone."
  type        = number
}

variable "log_retention_days" {
  description = "Days that flow logs are kept."
  type        = number
}

variable "kms_key_arn" {
  description = "Key that encrypts the flow logs; null: AWS' own."
  type        = string
}
