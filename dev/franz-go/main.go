// Tries franz-go and kadm against a log that speaks Kafka's protocol: the embedded one, or
// Apache Kafka. Each step says what must be; the first that is not ends the program.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What a step works with.
type street struct {
	seed string
	// The address is that of the embedded log, which refuses what it does not have.
	embedded bool
	// Makes names this run's own.
	run string
	// The steps run side by side.
	saying sync.Mutex
	failed bool
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: franz-go HOST:PORT [embedded]")
		os.Exit(2)
	}
	s := &street{
		seed:     os.Args[1],
		embedded: len(os.Args) > 2 && os.Args[2] == "embedded",
		run:      fmt.Sprint(time.Now().UnixNano()),
	}
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	var wait sync.WaitGroup
	for _, story := range []func(context.Context, *street){
		records, administration, calls, ranges, cooperative, static, fenced, leaving,
	} {
		wait.Go(func() {
			defer func() {
				if caught := recover(); caught != nil {
					failed, ours := caught.(failure)
					if !ours {
						panic(caught)
					}
					s.saying.Lock()
					defer s.saying.Unlock()
					s.failed = true
					fmt.Println("FAILED:", failed)
				}
			}()
			story(ctx, s)
		})
	}
	wait.Wait()
	if s.failed {
		os.Exit(1)
	}
}

type failure string

func (s *street) ok(what string) {
	s.saying.Lock()
	defer s.saying.Unlock()
	fmt.Println("ok:", what)
}

// Ends the story unless err is nil.
func must(what string, err error) {
	if err != nil {
		panic(failure(fmt.Sprintf("%s: %v", what, err)))
	}
}

// Ends the story unless err is the one that is wanted.
func mustBe(what string, err, wanted error) {
	if !errors.Is(err, wanted) {
		panic(failure(fmt.Sprintf("%s: %v instead of %v", what, err, wanted)))
	}
}

func equal(what string, found, wanted any) {
	if !reflect.DeepEqual(found, wanted) {
		panic(failure(fmt.Sprintf("%s: %v instead of %v", what, found, wanted)))
	}
}

// Waits until what is asked for holds.
func until(ctx context.Context, what string, holds func() bool) {
	deadline := time.Now().Add(30 * time.Second)
	for !holds() {
		if time.Now().After(deadline) || ctx.Err() != nil {
			panic(failure("in vain was waited until " + what))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (s *street) client(options ...kgo.Opt) *kgo.Client {
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(s.seed)}, options...)...)
	must("a client", err)
	return client
}

func (s *street) topic(ctx context.Context, name string, partitions int32) string {
	client := s.client()
	defer client.Close()
	name = name + "-" + s.run
	_, err := kadm.NewClient(client).CreateTopic(ctx, partitions, 1, nil, name)
	must("topic "+name, err)
	return name
}
