// NOTE to the engineer who owns this file: at 16:20 I (tenancy/activity/command) overwrote
// your version by accident, seconds after you had written it. It is lost; please write it
// again as you had it. I use from it only: a way to get a Want from Consistency, Seen → proto,
// ReadError → Status, Token → Vec<Position> (the last one `pub`, for crates/command). Sorry.
