# Optional. Workers limit what a person and a login may do; this limits what an address may do before it is known who it is.

resource "aws_wafv2_web_acl" "this" {
  # checkov:skip=CKV_AWS_192:The managed rules below are those against Log4Shell; checkov does not read rule_json.
  # checkov:skip=CKV_AWS_175:It has two, in rule_json, which checkov does not read.
  count = var.web_firewall ? 1 : 0

  name  = var.name
  scope = "REGIONAL"

  default_action {
    allow {}
  }

  # As AWS' API spells them. Not the common rule set: it refuses messages that only talk about script tags or SQL.
  rule_json = jsonencode([
    {
      Name             = "requests-an-address"
      Priority         = 1
      Action           = { Block = {} }
      Statement        = { RateBasedStatement = { Limit = var.requests_per_address, AggregateKeyType = "IP" } }
      VisibilityConfig = { SampledRequestsEnabled = true, CloudWatchMetricsEnabled = true, MetricName = "${var.name}-requests-an-address" }
    },
    {
      Name             = "known-bad-inputs"
      Priority         = 2
      OverrideAction   = { None = {} }
      Statement        = { ManagedRuleGroupStatement = { VendorName = "AWS", Name = "AWSManagedRulesKnownBadInputsRuleSet" } }
      VisibilityConfig = { SampledRequestsEnabled = true, CloudWatchMetricsEnabled = true, MetricName = "${var.name}-known-bad-inputs" }
    },
  ])

  visibility_config {
    cloudwatch_metrics_enabled = true
    metric_name                = var.name
    sampled_requests_enabled   = true
  }
}

resource "aws_wafv2_web_acl_association" "this" {
  count = var.web_firewall ? 1 : 0

  resource_arn = aws_lb.this.arn
  web_acl_arn  = aws_wafv2_web_acl.this[0].arn
}

resource "aws_cloudwatch_log_group" "firewall" {
  count = var.web_firewall ? 1 : 0

  # AWS WAF writes only into groups of this prefix; CloudWatch encrypts them with a key of AWS'.
  # checkov:skip=CKV_AWS_158:The name that AWS WAF asks for lies outside of what the key's policy lets CloudWatch use it for.
  name              = "aws-waf-logs-${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_wafv2_web_acl_logging_configuration" "this" {
  count = var.web_firewall ? 1 : 0

  resource_arn            = aws_wafv2_web_acl.this[0].arn
  log_destination_configs = [aws_cloudwatch_log_group.firewall[0].arn]

  # Tokens and cookies have no business in a log.
  redacted_fields {
    single_header {
      name = "authorization"
    }
  }

  redacted_fields {
    single_header {
      name = "cookie"
    }
  }
}
