package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What kadm does to topics, records, settings and offsets.
func administration(ctx context.Context, s *street) {
	topic := s.topic(ctx, "administration", 2)
	client := s.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer client.Close()
	admin := kadm.NewClient(client)

	_, err := admin.CreateTopic(ctx, 2, 1, nil, topic)
	mustBe("a topic made twice", err, kerr.TopicAlreadyExists)
	_, err = admin.CreateTopic(ctx, 2, 1, nil, "../x")
	mustBe("a name that leads out", err, kerr.InvalidTopicException)
	_, err = admin.CreateTopic(ctx, 2, 3, nil, topic+"-3")
	mustBe("more replicas than nodes", err, kerr.InvalidReplicationFactor)

	config := func(key string) string {
		configs, err := admin.DescribeTopicConfigs(ctx, topic)
		must("settings", err)
		found, err := configs.On(topic, nil)
		must("settings of the topic", err)
		for _, config := range found.Configs {
			if config.Key == key {
				return config.MaybeValue()
			}
		}
		return ""
	}
	set, hour := kadm.SetConfig, kadm.StringPtr("3600000")
	altered, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: set, Name: "retention.ms", Value: hour}}, topic)
	must("alter", err)
	must("alter the topic", altered[0].Err)
	// A cluster hears of it a moment later.
	until(ctx, "it is set", func() bool { return config("retention.ms") == "3600000" })
	altered, err = admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: set, Name: "no.such", Value: hour}}, topic)
	must("alter", err)
	mustBe("a setting that is none", altered[0].Err, kerr.InvalidConfig)
	altered, err = admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: kadm.DeleteConfig, Name: "retention.ms"}}, topic)
	must("alter", err)
	must("delete a setting", altered[0].Err)
	until(ctx, "it is the default", func() bool { return config("retention.ms") == "-1" })
	s.ok("settings are described and changed one by one")

	grown, err := admin.CreatePartitions(ctx, 1, topic)
	must("grow", err)
	must("grow the topic", grown.Error())
	grown, err = admin.UpdatePartitions(ctx, 2, topic)
	must("shrink", err)
	mustBe("fewer partitions", grown.Error(), kerr.InvalidPartitions)
	details, err := admin.ListTopics(ctx, topic)
	must("list", err)
	equal("partitions", len(details[topic].Partitions), 3)
	s.ok("partitions are added, never taken away")

	// Ten records in partition 0, the seventh of them the newest by its time.
	began := time.UnixMilli(1_700_000_000_000)
	for i := range 10 {
		at := began.Add(time.Duration(i) * time.Second)
		if i == 6 {
			at = began.Add(time.Hour)
		}
		record := &kgo.Record{Topic: topic, Partition: 0, Timestamp: at, Value: fmt.Appendf(nil, "%d", i)}
		must("produce", client.ProduceSync(ctx, record).FirstErr())
	}
	offset := func(what string, list func() (kadm.ListedOffsets, error), wanted int64) {
		listed, err := list()
		must(what, err)
		must(what, listed.Error())
		found, _ := listed.Lookup(topic, 0)
		equal(what, found.Offset, wanted)
	}
	after := func(seconds int) func() (kadm.ListedOffsets, error) {
		return func() (kadm.ListedOffsets, error) {
			return admin.ListOffsetsAfterMilli(ctx, began.UnixMilli()+int64(seconds)*1000, topic)
		}
	}
	offset("start", func() (kadm.ListedOffsets, error) { return admin.ListStartOffsets(ctx, topic) }, 0)
	offset("end", func() (kadm.ListedOffsets, error) { return admin.ListEndOffsets(ctx, topic) }, 10)
	offset("committed end", func() (kadm.ListedOffsets, error) { return admin.ListCommittedOffsets(ctx, topic) }, 10)
	offset("max timestamp", func() (kadm.ListedOffsets, error) { return admin.ListMaxTimestampOffsets(ctx, topic) }, 6)
	offset("local start", func() (kadm.ListedOffsets, error) { return admin.ListLocalLogStartOffsets(ctx, topic) }, 0)
	offset("at a time", after(4), 4)
	offset("after the others", after(100), 6)
	// kadm gives the end where Kafka says that there is none.
	offset("after all", after(4000), 10)
	s.ok("offsets at the ends, by time and of the newest")

	deleted, err := admin.DeleteRecords(ctx, kadm.Offsets{topic: {0: {Topic: topic, Partition: 0, At: 4}}})
	must("delete records", err)
	must("delete records", deleted.Error())
	offset("start after deletion", func() (kadm.ListedOffsets, error) { return admin.ListStartOffsets(ctx, topic) }, 4)
	deleted, err = admin.DeleteRecords(ctx, kadm.Offsets{topic: {0: {Topic: topic, Partition: 0, At: 99}}})
	must("delete records", err)
	mustBe("records beyond the end", deleted.Error(), kerr.OffsetOutOfRange)
	s.ok("records are deleted")

	folders, err := admin.DescribeAllLogDirs(ctx, nil)
	must("folders", err)
	size, found := int64(0), false
	folders.Each(func(dir kadm.DescribedLogDir) {
		if partition, ok := dir.Topics.Lookup(topic, 0); ok {
			size, found = partition.Size, true
		}
	})
	equal("the partition's folder is found", found && size > 0, true)
	s.ok("the log's folders are described")

	group := "administration-" + s.run
	commits := kadm.Offsets{}
	commits.AddOffset(topic, 0, 6, -1)
	commits.AddOffset(topic, 1, 0, -1)
	must("commit", admin.CommitAllOffsets(ctx, group, commits))
	lags, err := admin.Lag(ctx, group)
	must("lag", err)
	lag := lags[group]
	must("lag", lag.Error())
	equal("lag", lag.Lag.Total(), int64(4))
	groups, err := admin.ListGroupsByType(ctx, []string{"classic"}, "Empty")
	must("groups", err)
	equal("the group is listed", groups[group].State, "Empty")
	groups, err = admin.ListGroups(ctx, "Stable")
	must("groups", err)
	_, listed := groups[group]
	equal("the group is listed among those with members", listed, false)
	var one kadm.TopicsSet
	one.Add(topic, 1)
	offsets, err := admin.DeleteOffsets(ctx, group, one)
	must("delete offsets", err)
	must("delete offsets", offsets.Error())
	left, err := admin.FetchOffsets(ctx, group)
	must("fetch offsets", err)
	_, gone := left.Lookup(topic, 1)
	equal("offsets left", []int{len(left.Offsets()[topic])}, []int{1})
	equal("the deleted one", gone, false)
	_, err = admin.DeleteGroup(ctx, group)
	must("delete group", err)
	_, err = admin.DeleteGroup(ctx, group)
	mustBe("delete group twice", err, kerr.GroupIDNotFound)
	described, err := admin.DescribeGroups(ctx, group)
	must("describe", err)
	equal("a group that is gone", described[group].State, "Dead")
	s.ok("groups' offsets are committed, lag, and are deleted; groups are listed and deleted")

	_, err = admin.DeleteTopic(ctx, topic)
	must("delete", err)
	_, err = admin.DeleteTopic(ctx, topic)
	mustBe("delete twice", err, kerr.UnknownTopicOrPartition)
	s.ok("a topic is deleted")
}

// The calls of kadm that change nothing, and what is refused of them.
func calls(ctx context.Context, s *street) {
	client := s.client()
	defer client.Close()
	admin := kadm.NewClient(client)
	var first kadm.TopicsSet
	first.Add(s.topic(ctx, "calls", 1), 0)
	for _, call := range []struct {
		name string
		// Of what the embedded log does not have.
		foreign bool
		ask     func() error
	}{
		{"ApiVersions", false, func() error { _, err := admin.ApiVersions(ctx); return err }},
		{"BrokerMetadata", false, func() error { _, err := admin.BrokerMetadata(ctx); return err }},
		{"ListBrokers", false, func() error { _, err := admin.ListBrokers(ctx); return err }},
		{"DescribeBrokerConfigs", false, func() error { _, err := admin.DescribeBrokerConfigs(ctx, 1); return err }},
		{"ListTransactions", false, func() error { _, err := admin.ListTransactions(ctx, nil, nil); return err }},
		{"FindGroupCoordinators", false, func() error { return admin.FindGroupCoordinators(ctx, "g").Error() }},
		{"ListConfigResources", true, func() error { _, err := admin.ListConfigResources(ctx); return err }},
		{"ListPartitionReassignments", true, func() error {
			_, err := admin.ListPartitionReassignments(ctx, first)
			return err
		}},
		{"ElectLeaders", true, func() error {
			_, err := admin.ElectLeaders(ctx, kadm.ElectPreferredReplica, first)
			return err
		}},
		{"DescribeClientQuotas", true, func() error { _, err := admin.DescribeClientQuotas(ctx, false, nil); return err }},
		{"DescribeUserSCRAMs", true, func() error { _, err := admin.DescribeUserSCRAMs(ctx); return err }},
		{"DescribeConsumerGroups", true, func() error {
			_, err := admin.DescribeConsumerGroups(ctx, "g")
			return notFound(err)
		}},
		{"DescribeShareGroups", true, func() error { _, err := admin.DescribeShareGroups(ctx, "g"); return notFound(err) }},
	} {
		err := call.ask()
		s.saying.Lock()
		fmt.Printf("    kadm's %-27s %v\n", call.name+":", said(err))
		s.saying.Unlock()
		if !call.foreign || !s.embedded {
			must(call.name, err)
		} else if err == nil {
			panic(failure(call.name + " is answered, and is said to be refused"))
		}
	}
	s.ok("the calls that there are, are answered; the others are refused at once")
	if !s.embedded {
		return
	}
	began := time.Now()
	producer := s.client(kgo.TransactionalID("t"), kgo.DefaultProduceTopic(s.topic(ctx, "transactions", 1)))
	defer producer.Close()
	mustBe("a transactional producer", producer.BeginTransaction(), kerr.TransactionalIDAuthorizationFailed)
	equal("at once", time.Since(began) < 10*time.Second, true)
	s.ok("a transactional producer ends at once")
}

func said(err error) string {
	if err == nil {
		return "answered"
	}
	return "refused: " + err.Error()
}

// Kafka knows the call, and not this group.
func notFound(err error) error {
	if err == kerr.GroupIDNotFound {
		return nil
	}
	return err
}
