package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Records of every codec, from an idempotent producer, are read back as they were.
func records(ctx context.Context, s *street) {
	topic := s.topic(ctx, "records", 1)
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	const each = 100
	value := bytes.Repeat([]byte("said once and once more, "), 20)
	for name, codec := range codecs {
		producer := s.client(kgo.DefaultProduceTopic(topic), kgo.ProducerBatchCompression(codec))
		var sent []*kgo.Record
		for i := range each {
			sent = append(sent, &kgo.Record{
				Key: fmt.Appendf(nil, "%s-%d", name, i), Value: value,
				Headers: []kgo.RecordHeader{{Key: "codec", Value: []byte(name)}, {Key: "null"}},
			})
		}
		must("produced by "+name, producer.ProduceSync(ctx, sent...).FirstErr())
		producer.Close()
	}
	reader := s.client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()))
	defer reader.Close()
	next := map[string]int{}
	for offset := int64(0); offset < int64(each*len(codecs)); {
		fetched := reader.PollFetches(ctx)
		must("fetched", fetched.Err())
		fetched.EachRecord(func(r *kgo.Record) {
			codec := string(r.Headers[0].Value)
			equal("offset", r.Offset, offset)
			equal("key", string(r.Key), fmt.Sprintf("%s-%d", codec, next[codec]))
			equal("value", string(r.Value), string(value))
			equal("a header without a value", r.Headers[1].Value == nil, true)
			next[codec]++
			offset++
		})
	}
	s.ok("an idempotent producer with each codec; keys, values, headers and order are kept")

	client := s.client()
	defer client.Close()
	admin := kadm.NewClient(client)
	var partitions kadm.TopicsSet
	partitions.Add(topic, 0)
	described, err := admin.DescribeProducers(ctx, partitions)
	must("producers", err)
	producers := described.SortedProducers()
	equal("producers that the partition remembers", len(producers), len(codecs))
	for _, producer := range producers {
		equal("epoch", producer.ProducerEpoch, int16(0))
		equal("last sequence", producer.LastSequence, int32(each-1))
	}
	s.ok("the partition's producers are described")
}
