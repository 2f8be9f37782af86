locals {
  host = local.elasticache ? one(aws_elasticache_replication_group.this[*].configuration_endpoint_address) : one(flatten(aws_memorydb_cluster.this[*].cluster_endpoint[*].address))

  # Machines are called after their cluster: known before it is made, so that each can have an alarm.
  places = [for pair in setproduct(range(1, var.shards + 1), range(1, var.replicas + 2)) : format("%s-log-%04d-%03d", var.name, pair[0], pair[1])]
}

output "url" {
  description = "DCHAT_REDIS_URL. There is no password in it: iam= says for what a worker signs its tokens."
  value       = "rediss+cluster://${var.name}-worker@${local.host}:6379?iam=${var.kind}:${data.aws_region.here.region}:${var.name}-log"
}

output "sign_in" {
  description = "The action, and the ARNs it is needed on, to sign in."
  value = {
    action = local.elasticache ? "elasticache:Connect" : "memorydb:Connect"
    resources = concat(
      aws_elasticache_replication_group.this[*].arn, aws_elasticache_user.worker[*].arn,
      aws_memorydb_cluster.this[*].arn, aws_memorydb_user.worker[*].arn,
    )
  }
}

output "nodes" {
  description = "Namespace and dimensions of each machine's metrics in CloudWatch, by the machine's name."
  value = {
    for place in local.places : place => {
      namespace  = local.elasticache ? "AWS/ElastiCache" : "AWS/MemoryDB"
      dimensions = local.elasticache ? { CacheClusterId = place } : { ClusterName = "${var.name}-log", NodeName = place }
    }
  }
}

output "security_group_id" {
  description = "Where workers connect to."
  value       = aws_security_group.log.id
}
