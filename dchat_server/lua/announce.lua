-- Tell every worker something that belongs to no room. ARGV: kind, user, body (JSON). Returns the feed offset.

announce(ARGV[1], ARGV[2], ARGV[3])
commit()
return feed_head
