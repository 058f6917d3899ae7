package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const partitions = 6

// A consumer, and what its group did to it.
type member struct {
	client *kgo.Client
	stop   context.CancelFunc
	ended  chan struct{}

	mutex sync.Mutex
	owned map[int32]bool
	// Partitions that were taken away, and how often any were given.
	revoked []int32
	given   int
	read    map[string]int
	err     error
}

func (s *street) join(ctx context.Context, group, topic string, options ...kgo.Opt) *member {
	m := &member{owned: map[int32]bool{}, read: map[string]int{}, ended: make(chan struct{})}
	take := func(revoked bool) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
			m.mutex.Lock()
			defer m.mutex.Unlock()
			for _, partition := range lost[topic] {
				delete(m.owned, partition)
				if revoked {
					m.revoked = append(m.revoked, partition)
				}
			}
		}
	}
	options = append(options,
		kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.HeartbeatInterval(200*time.Millisecond), kgo.SessionTimeout(10*time.Second),
		kgo.AutoCommitInterval(100*time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, given map[string][]int32) {
			m.mutex.Lock()
			defer m.mutex.Unlock()
			m.given++
			for _, partition := range given[topic] {
				m.owned[partition] = true
			}
		}),
		kgo.OnPartitionsRevoked(take(true)), kgo.OnPartitionsLost(take(false)),
	)
	m.client = s.client(options...)
	ctx, m.stop = context.WithCancel(ctx)
	go func() {
		defer close(m.ended)
		for ctx.Err() == nil {
			fetched := m.client.PollFetches(ctx)
			m.mutex.Lock()
			var session *kgo.ErrGroupSession
			for _, failed := range fetched.Errors() {
				if errors.As(failed.Err, &session) {
					m.err = session.Err
				}
			}
			fetched.EachRecord(func(r *kgo.Record) { m.read[string(r.Value)]++ })
			m.mutex.Unlock()
		}
	}()
	return m
}

func (m *member) owns() []int32 {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return slices.Sorted(maps.Keys(m.owned))
}

func (m *member) generation() int32 {
	_, generation := m.client.GroupMetadata()
	return generation
}

// What was taken away and how often something was given since the last question.
func (m *member) disturbed() (revoked []int32, given int) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	revoked, given = m.revoked, m.given
	m.revoked, m.given = nil, 0
	slices.Sort(revoked)
	return revoked, given
}

func (m *member) failed() error {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	return m.err
}

// Stops as its program would; one with an instance id keeps its place.
func (m *member) close() {
	m.stop()
	<-m.ended
	m.client.Close()
}

func own(ctx context.Context, what string, members map[*member][]int32) {
	until(ctx, what, func() bool {
		for m, wanted := range members {
			if !slices.Equal(m.owns(), wanted) {
				return false
			}
		}
		return true
	})
}

// Sends some records to each partition.
func (s *street) send(ctx context.Context, topic, name string) {
	producer := s.client(kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer producer.Close()
	for i := range int32(10 * partitions) {
		record := &kgo.Record{Partition: i % partitions, Value: fmt.Appendf(nil, "%s-%d", name, i)}
		must("send", producer.ProduceSync(ctx, record).FirstErr())
	}
}

// Ranges are shared out by member id, so each has three neighbours.
func ranges(ctx context.Context, s *street) {
	topic, group := s.topic(ctx, "ranges", partitions), "ranges-"+s.run
	a := s.join(ctx, group, topic, kgo.Balancers(kgo.RangeBalancer()))
	b := s.join(ctx, group, topic, kgo.Balancers(kgo.RangeBalancer()))
	until(ctx, "both have a range", func() bool {
		first, second := a.owns(), b.owns()
		if len(first) > 0 && first[0] != 0 {
			first, second = second, first
		}
		return slices.Equal(first, []int32{0, 1, 2}) && slices.Equal(second, []int32{3, 4, 5})
	})
	client := s.client()
	defer client.Close()
	groups, err := kadm.NewClient(client).DescribeGroups(ctx, group)
	must("describe", err)
	described := groups[group]
	equal("state, protocol, members", []any{described.State, described.Protocol, len(described.Members)},
		[]any{"Stable", "range", 2})
	a.close()
	own(ctx, "the other has all", map[*member][]int32{b: {0, 1, 2, 3, 4, 5}})
	b.close()
	s.ok("range: two members share, one leaves, the other has all")
}

// A second member costs the first only what it gives away, in two rebalances.
func cooperative(ctx context.Context, s *street) {
	topic, group := s.topic(ctx, "cooperative", partitions), "cooperative-"+s.run
	sticky := kgo.Balancers(kgo.CooperativeStickyBalancer())
	a := s.join(ctx, group, topic, sticky)
	own(ctx, "the first has all", map[*member][]int32{a: {0, 1, 2, 3, 4, 5}})
	before := a.generation()
	a.disturbed()
	s.send(ctx, topic, "alone")
	b := s.join(ctx, group, topic, sticky)
	until(ctx, "both have three", func() bool { return len(a.owns()) == 3 && len(b.owns()) == 3 })
	until(ctx, "the second rebalance is over", func() bool { return a.generation() == b.generation() })
	revoked, _ := a.disturbed()
	equal("what the first gave away", revoked, b.owns())
	equal("two rebalances", a.generation()-before, int32(2))
	s.send(ctx, topic, "together")
	// A partition that changes hands may be read twice from its last commit on.
	total := func() int {
		all := map[string]bool{}
		for _, m := range []*member{a, b} {
			m.mutex.Lock()
			for value := range m.read {
				all[value] = true
			}
			m.mutex.Unlock()
		}
		return len(all)
	}
	until(ctx, "all is read", func() bool { return total() == 2*10*partitions })
	a.disturbed()
	b.close()
	own(ctx, "the first has all again", map[*member][]int32{a: {0, 1, 2, 3, 4, 5}})
	revoked, _ = a.disturbed()
	equal("what the first lost meanwhile", len(revoked), 0)
	s.send(ctx, topic, "alone again")
	until(ctx, "all is read", func() bool { return total() == 3*10*partitions })
	a.close()
	s.ok("cooperative-sticky: two rebalances, nobody loses what it keeps, every record is read")
}

// Static members come back to what they had, and nobody notices.
func static(ctx context.Context, s *street) {
	topic, group := s.topic(ctx, "static", partitions), "static-"+s.run
	join := func(instance string) *member {
		return s.join(ctx, group, topic, kgo.InstanceID(instance), kgo.Balancers(kgo.RangeBalancer()))
	}
	a, b := join("one"), join("two")
	until(ctx, "both have three", func() bool { return len(a.owns()) == 3 && len(b.owns()) == 3 })
	until(ctx, "one generation holds", func() bool { return a.generation() == b.generation() })
	before, had := a.generation(), a.owns()
	b.disturbed()
	a.close()
	a = join("one")
	own(ctx, "it has what it had", map[*member][]int32{a: had})
	equal("the generation", a.generation(), before)
	s.send(ctx, topic, "after")
	until(ctx, "its partitions are read", func() bool {
		a.mutex.Lock()
		defer a.mutex.Unlock()
		return len(a.read) == 30
	})
	revoked, given := b.disturbed()
	equal("what the other noticed", []int{len(revoked), given}, []int{0, 0})
	a.close()
	b.close()
	s.ok("a static member restarts without a rebalance")
}

// Of two with one instance id, the first is told that it was replaced.
func fenced(ctx context.Context, s *street) {
	topic, group := s.topic(ctx, "fenced", partitions), "fenced-"+s.run
	join := func() *member { return s.join(ctx, group, topic, kgo.InstanceID("one")) }
	a := join()
	own(ctx, "the first has all", map[*member][]int32{a: {0, 1, 2, 3, 4, 5}})
	b := join()
	own(ctx, "the second has all", map[*member][]int32{b: {0, 1, 2, 3, 4, 5}})
	until(ctx, "the first is told", func() bool { return a.failed() != nil })
	mustBe("the first", a.failed(), kerr.FencedInstanceID)
	a.close()
	equal("the second goes on", b.failed(), nil)
	b.close()
	s.ok("a second member of one instance id fences the first")
}

// Someone else takes a static member out, by its instance id.
func leaving(ctx context.Context, s *street) {
	topic, group := s.topic(ctx, "leaving", partitions), "leaving-"+s.run
	a := s.join(ctx, group, topic, kgo.InstanceID("one"))
	own(ctx, "it has all", map[*member][]int32{a: {0, 1, 2, 3, 4, 5}})
	a.close()
	client := s.client()
	defer client.Close()
	admin := kadm.NewClient(client)
	members := func() int {
		groups, err := admin.DescribeGroups(ctx, group)
		must("describe", err)
		return len(groups[group].Members)
	}
	equal("members after it stopped", members(), 1)
	left, err := admin.LeaveGroup(ctx, kadm.LeaveGroup(group).InstanceIDs("two"))
	must("leave", err)
	mustBe("an unknown instance leaves", left["two"].Err, kerr.UnknownMemberID)
	left, err = admin.LeaveGroup(ctx, kadm.LeaveGroup(group).InstanceIDs("one"))
	must("leave", err)
	must("leave by instance id", left["one"].Err)
	equal("members after it left", members(), 0)
	s.ok("a static member keeps its place when it stops, and leaves by its instance id")
}
