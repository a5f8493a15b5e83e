// The bench's chain of four handlers by Watermill, untraced and unfenced, as its documentation has it:
//
//   - the message router, whose handlers publish what they return, and acknowledge the input only then;
//   - watermill-nats' pkg/nats with JetStream, which its authors recommend for production over the beta pkg/jetstream:
//     a durable push consumer per handler, shared by a queue group of SubscribersCount subscriptions. Each of them works on
//     one event at a time, so 64 of them are 64 events in flight;
//   - Publish waits for JetStream's acknowledgement; it always does;
//   - AckAsync: acknowledgements of the input are sent and not awaited, as every contestant does;
//   - no AutoProvision: the stream is there;
//   - each of the four services has connections of its own, as it would in a process of its own.
//
// All else is as it is by default.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go"
)

// Events worked on at a time by each service.
const inFlight = 64

const stream = "ORDERS"

type line struct {
	Sku        string `json:"sku"`
	Quantity   uint32 `json:"quantity"`
	PriceCents uint64 `json:"price_cents"`
}

type address struct {
	Street string `json:"street"`
	City   string `json:"city"`
	Zip    string `json:"zip"`
}

type order struct {
	ID         string  `json:"id"`
	Customer   string  `json:"customer"`
	TotalCents uint64  `json:"total_cents"`
	Currency   string  `json:"currency"`
	PlacedAt   string  `json:"placed_at"`
	Lines      []line  `json:"lines"`
	Address    address `json:"address"`
}

// The body of all events, field for field that of the other contestants.
type event struct {
	Order order `json:"order"`
}

type hop struct{ service, from, to string }

var hops = []hop{
	{"payment", "orders.placed", "orders.captured"},
	{"inventory", "orders.captured", "orders.reserved"},
	{"shipping", "orders.reserved", "orders.dispatched"},
	{"invoice", "orders.dispatched", "orders.issued"},
}

func main() {
	url := flag.String("url", nats.DefaultURL, "the broker")
	flag.Parse()
	if err := run(*url); err != nil {
		fmt.Fprintln(os.Stderr, "watermill-chain:", err)
		os.Exit(1)
	}
}

func run(url string) error {
	var routers []*message.Router
	failed := make(chan error, len(hops))
	for _, hop := range hops {
		router, err := serve(url, hop)
		if err != nil {
			return fmt.Errorf("%s: %w", hop.service, err)
		}
		routers = append(routers, router)
		go func() { failed <- router.Run(context.Background()) }()
		select {
		case <-router.Running():
		case err := <-failed:
			return fmt.Errorf("%s: %w", hop.service, err)
		}
	}
	commands := bufio.NewScanner(os.Stdin)
	fmt.Println(`{"ready":true}`)
	if !commands.Scan() || commands.Text() != "stop" {
		return fmt.Errorf("the driver said %q, not \"stop\"", commands.Text())
	}
	for _, router := range routers {
		if err := router.Close(); err != nil {
			return fmt.Errorf("drain: %w", err)
		}
	}
	fmt.Println(`{"stopped":true}`)
	for commands.Scan() {
	}
	return nil
}

func serve(url string, hop hop) (*message.Router, error) {
	logger := watermill.NewStdLoggerWithOut(os.Stderr, false, false)
	jetStream := wmnats.JetStreamConfig{
		AckAsync:         true,
		DurablePrefix:    hop.service,
		SubscribeOptions: []nats.SubOpt{nats.BindStream(stream), nats.AckExplicit()},
	}
	subscriber, err := wmnats.NewSubscriber(wmnats.SubscriberConfig{
		URL:              url,
		QueueGroupPrefix: hop.service,
		SubscribersCount: inFlight,
		AckWaitTimeout:   30 * time.Second,
		JetStream:        jetStream,
	}, logger)
	if err != nil {
		return nil, err
	}
	publisher, err := wmnats.NewPublisher(wmnats.PublisherConfig{URL: url, JetStream: jetStream}, logger)
	if err != nil {
		return nil, err
	}
	router, err := message.NewRouter(message.RouterConfig{}, logger)
	if err != nil {
		return nil, err
	}
	router.AddHandler(hop.service, hop.from, subscriber, hop.to, publisher, react)
	return router, nil
}

func react(received *message.Message) ([]*message.Message, error) {
	var event event
	if err := json.Unmarshal(received.Payload, &event); err != nil {
		return nil, err
	}
	next, err := json.Marshal(event)
	if err != nil {
		return nil, err
	}
	return []*message.Message{message.NewMessage(watermill.NewUUID(), next)}, nil
}
