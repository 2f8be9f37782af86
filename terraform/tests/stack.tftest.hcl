# The whole, as the root puts it together: what comes out, and what its parts were told.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  name            = "chat"
  certificate_arn = "arn:aws:acm:eu-central-1:111122223333:certificate/1"
  image           = "registry.example/dchat@sha256:0000000000000000000000000000000000000000000000000000000000000000"

  zookeeper_secrets = {
    password    = "a-password-of-the-tests-which-is-none"
    ca          = "ca"
    server      = "server"
    worker_cert = "cert"
    worker_key  = "key"
  }
}

run "comes_up_with_nothing_but_an_image_and_a_certificate" {
  assert {
    condition     = output.url == "https://chat.example.elb.amazonaws.com"
    error_message = "The chat is not where it should be: ${output.url}"
  }

  assert {
    condition     = output.archive_table_name == "chat" && output.workers_group_name == "chat-workers"
    error_message = "Archive and group are not called after the chat."
  }

  assert {
    condition     = length(distinct(values(module.network.zones))) == 3
    error_message = "The stack is to stand in three zones."
  }

  assert {
    condition     = length(output.zookeeper_instance_ids) == 3
    error_message = "The ensemble is to have three servers."
  }

  assert {
    condition     = output.zookeeper_servers == ["zk-1.chat.internal=10.40.128.10", "zk-2.chat.internal=10.40.144.10", "zk-3.chat.internal=10.40.160.10"]
    error_message = "Names and addresses of the ensemble are in its certificates; they may not change: ${join(" ", output.zookeeper_servers)}"
  }

  assert {
    condition     = module.workers.settings["DCHAT_REDIS_URL"] == "rediss+cluster://chat-worker@chat-log.cfg.cache.amazonaws.com:6379?iam=elasticache:eu-central-1:chat-log"
    error_message = "Workers reach the log by TLS, as a cluster, and by a role: ${module.workers.settings["DCHAT_REDIS_URL"]}"
  }

  assert {
    condition     = module.workers.settings["DCHAT_ZOOKEEPER"] == "zk-1.chat.internal:2281,zk-2.chat.internal:2281,zk-3.chat.internal:2281/chat"
    error_message = "Workers do not know the ensemble: ${module.workers.settings["DCHAT_ZOOKEEPER"]}"
  }

  assert {
    condition     = module.workers.settings["DCHAT_DYNAMODB_TABLE"] == "chat" && module.workers.settings["DCHAT_DYNAMODB_REGION"] == "eu-central-1"
    error_message = "Workers do not know the archive."
  }

  assert {
    condition     = module.workers.settings["DCHAT_PORT"] == "5000" && module.workers.settings["DCHAT_TRUSTED_PROXIES"] == "1"
    error_message = "Workers listen on 5000, behind one proxy."
  }

  assert {
    condition     = alltrue([for key in keys(module.workers.settings) : !strcontains(key, "SASL") && !strcontains(key, "AUTH") && !strcontains(key, "PASSWORD")])
    error_message = "A secret is among the settings, which are in user data."
  }
}

run "memorydb_is_reached_in_the_same_way" {
  variables {
    log = { kind = "memorydb" }
  }

  assert {
    condition     = module.workers.settings["DCHAT_REDIS_URL"] == "rediss+cluster://chat-worker@chat-log.memorydb.amazonaws.com:6379?iam=memorydb:eu-central-1:chat-log"
    error_message = "Workers do not find MemoryDB: ${module.workers.settings["DCHAT_REDIS_URL"]}"
  }
}

run "a_domain_is_what_people_are_sent_to" {
  variables {
    domain = { zone_id = "Z1", name = "chat.example.com" }
  }

  assert {
    condition     = output.url == "https://chat.example.com" && module.workers.settings["DCHAT_PUBLIC_URL"] == "https://chat.example.com"
    error_message = "The chat does not know its name."
  }
}
