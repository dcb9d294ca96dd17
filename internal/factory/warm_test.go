package factory

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/internal/vsphere"
)

// said keeps what a client logs.
type said struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *said) count(part string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.text.String(), part)
}

// The pages of a lost node come to the others all at once: whoever had to sign
// in first would keep them waiting.
func TestNodeThatDoesNotFeedIsSignedInAllTheSame(t *testing.T) {
	t.Parallel()
	r := build(t, testkit.Postgres(t), Options{})
	ctx, leave := context.WithCancel(context.Background())
	held, left := make(chan struct{}), make(chan struct{})
	go func() { // another node feeds
		defer close(left)
		_ = r.System.Exclusively(ctx, "feed/"+string(r.Public.ID), func(ctx context.Context) error {
			close(held)
			<-ctx.Done()
			return nil
		})
	}()
	<-held
	log := &said{}
	client := vsphere.New(vsphere.Config{
		Slug: "public", URL: r.vcenter.info.URL, Username: r.vcenter.info.Username, Password: r.vcenter.info.Password,
		ThumbprintSHA256: r.vcenter.info.ThumbprintSHA256, ExpectInstanceUUID: r.vcenter.info.InstanceUUID,
		Logger: slog.New(slog.NewTextHandler(log, nil)),
	})
	t.Cleanup(func() { _ = client.Close(context.Background()) })
	r.factory.clouds.Put(r.Public.ID, client)
	stop := r.start()
	r.eventually("signed in", func() bool { return log.count("signed in to vCenter") == 1 })
	if _, err := client.Capacity(ctx); err != nil {
		t.Error(err)
	}
	stop()
	if n := log.count("signed in to vCenter"); n != 1 {
		t.Errorf("signed in %d times", n)
	}
	leave()
	<-left
}
