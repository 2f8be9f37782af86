variable "name" {
  description = "Name of the chat."
  type        = string
}
