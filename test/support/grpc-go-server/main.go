// A grpc-go server for the conformance suite. It does what the query string in a request's first field asks for; the
// same service is written for the other servers in conformance-service.ts.
package main

import (
	"context"
	"encoding/base64"
	"flag"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protowire"
)

// rawCodec leaves messages as bytes, so that no generated code is needed.
type rawCodec struct{}

func (rawCodec) Marshal(v any) ([]byte, error) { return *v.(*[]byte), nil }
func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = append([]byte(nil), data...)
	return nil
}
func (rawCodec) Name() string { return "proto" }

type tally struct{ began, open, cancelled, sent int }

var (
	mutex   sync.Mutex
	tallies = map[string]*tally{}
)

func count(key string, change func(*tally)) {
	mutex.Lock()
	defer mutex.Unlock()
	if tallies[key] == nil {
		tallies[key] = &tally{}
	}
	change(tallies[key])
}

func main() {
	port := flag.Int("port", 0, "0 picks a free one")
	maxStreams := flag.Uint("max-streams", 0, "streams on one connection; 0 means no limit")
	maxAge := flag.Duration("max-age", 0, "how long a connection is used; 0 means for ever")
	flag.Parse()
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	options := []grpc.ServerOption{grpc.ForceServerCodec(rawCodec{}), grpc.UnknownServiceHandler(serve)}
	if *maxStreams > 0 {
		options = append(options, grpc.MaxConcurrentStreams(uint32(*maxStreams)))
	}
	if *maxAge > 0 {
		options = append(options, grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: *maxAge}))
	}
	server := grpc.NewServer(options...)
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	go func() {
		// The process that started this one is gone.
		_, _ = io.Copy(io.Discard, os.Stdin)
		server.Stop()
	}()
	if err := server.Serve(listener); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func serve(_ any, stream grpc.ServerStream) error {
	var request []byte
	if err := stream.RecvMsg(&request); err != nil {
		return err
	}
	ask, err := url.ParseQuery(firstString(request))
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	method, _ := grpc.MethodFromServerStream(stream)
	key := ask.Get("key")
	count(key, func(t *tally) { t.began++; t.open++ })
	err = perform(stream, ask, !strings.HasSuffix(method, "/StreamWorkflowEvents"))
	count(key, func(t *tally) {
		t.open--
		if stream.Context().Err() != nil {
			t.cancelled++
		}
	})
	return err
}

func perform(stream grpc.ServerStream, ask url.Values, unary bool) error {
	ctx := stream.Context()
	if ask.Has("metadata") {
		_ = stream.SetHeader(metadata.Pairs("x-head", "at the head", "x-head-bin", "\x00\xff\x7f"))
		stream.SetTrailer(metadata.Pairs("x-tail", "at the tail", "x-tail-bin", "\x01\xfe"))
	}
	if err := wait(ctx, number(ask, "delay", 0)); err != nil {
		return err
	}
	code := codes.Code(number(ask, "code", 0))
	messages := number(ask, "count", 0)
	if unary && code == codes.OK {
		messages = 1
	}
	text := ask.Get("text") + strings.Repeat("x", number(ask, "size", 0))
	for index := 1; index <= messages; index++ {
		answer := event(text, index)
		if unary {
			answer = workflow(text, labels(ctx, ask))
		}
		if err := stream.SendMsg(&answer); err != nil {
			return err
		}
		count(ask.Get("key"), func(t *tally) { t.sent++ })
	}
	if ask.Has("hang") {
		<-ctx.Done()
		return ctx.Err()
	}
	answer := status.New(code, ask.Get("message"))
	if reason := ask.Get("reason"); reason != "" {
		detailed, err := answer.WithDetails(&errdetails.ErrorInfo{Reason: reason, Domain: "foldforge"})
		if err != nil {
			return err
		}
		answer = detailed
	}
	return answer.Err()
}

func wait(ctx context.Context, ms int) error {
	if ms == 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(time.Duration(ms) * time.Millisecond):
		return nil
	}
}

func labels(ctx context.Context, ask url.Values) map[string]string {
	told := map[string]string{}
	if !ask.Has("metadata") && !ask.Has("stats") {
		return told
	}
	if from, ok := peer.FromContext(ctx); ok {
		told["peer"] = from.Addr.String()
	}
	if ask.Has("stats") {
		count(ask.Get("stats"), func(t *tally) {
			told["began"], told["open"] = strconv.Itoa(t.began), strconv.Itoa(t.open)
			told["cancelled"], told["sent"] = strconv.Itoa(t.cancelled), strconv.Itoa(t.sent)
		})
	}
	if !ask.Has("metadata") {
		return told
	}
	if deadline, ok := ctx.Deadline(); ok {
		told["time-left-ms"] = strconv.FormatInt(time.Until(deadline).Milliseconds(), 10)
	}
	sent, _ := metadata.FromIncomingContext(ctx)
	for name, values := range sent {
		if strings.HasSuffix(name, "-bin") {
			told[name] = base64.StdEncoding.EncodeToString([]byte(strings.Join(values, ", ")))
		} else if strings.HasPrefix(name, "x-") {
			told[name] = strings.Join(values, ", ")
		}
	}
	return told
}

func number(ask url.Values, name string, otherwise int) int {
	if value, err := strconv.Atoi(ask.Get(name)); err == nil {
		return value
	}
	return otherwise
}

// firstString is field 1 of GetWorkflowRequest and of StreamWorkflowEventsRequest.
func firstString(message []byte) string {
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return ""
		}
		if field == 1 && kind == protowire.BytesType {
			value, _ := protowire.ConsumeBytes(message[n:])
			return string(value)
		}
		length := protowire.ConsumeFieldValue(field, kind, message[n:])
		if length < 0 {
			return ""
		}
		message = message[n+length:]
	}
	return ""
}

func appendBytes(to []byte, field protowire.Number, value []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, field, protowire.BytesType), value)
}

// workflow is a Workflow with an id, and with the labels in its spec.
func workflow(id string, labels map[string]string) []byte {
	var message, spec []byte
	if id != "" {
		message = appendBytes(message, 1, []byte(id))
	}
	for name, value := range labels {
		spec = appendBytes(spec, 3, appendBytes(appendBytes(nil, 1, []byte(name)), 2, []byte(value)))
	}
	if len(spec) == 0 {
		return message
	}
	return appendBytes(message, 2, spec)
}

// event is a WorkflowEvent with a workflow_id and an event_id.
func event(text string, index int) []byte {
	message := appendBytes(nil, 1, []byte(text))
	return protowire.AppendVarint(protowire.AppendTag(message, 5, protowire.VarintType), uint64(index))
}
