package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/internal/config"
	"github.com/millwright/millwright/internal/testkit"
	"github.com/millwright/millwright/models"
)

// archiveRig is a signed history of some events, beside its key and files.
func archiveRig(t *testing.T, url string) (w *testkit.World, service *audit.Service, dir string) {
	t.Helper()
	w, dir = testkit.NewWorld(t, testkit.Open(t, url)), t.TempDir()
	w.Machine(t, "web-1")
	key, err := audit.ReadOrMakeKey(filepath.Join(dir, "checkpoint.key"))
	if err != nil {
		t.Fatal(err)
	}
	outside, err := audit.OpenOutside(filepath.Join(dir, "checkpoints.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	service = audit.New(w.System, audit.Options{Key: key, Outside: outside, Logger: testkit.Quiet()})
	if err := service.Seal(t.Context(), w.Acme.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := service.Checkpoint(t.Context(), w.Acme.ID); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "segments"), 0o700); err != nil {
		t.Fatal(err)
	}
	return w, service, dir
}

// segments are the orgs' files.
func segments(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "segments", "acme-*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// The command archives what is old enough, names the file, and the file is
// verified with the public key; a second run has nothing to do.
func TestArchiveCommandMovesWhatIsOld(t *testing.T) {
	t.Parallel()
	for kind, database := range map[string]func(testing.TB) string{"sqlite": testkit.SQLiteURL, "postgres": testkit.PostgresURL} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			url := database(t)
			w, _, dir := archiveRig(t, url)
			file := func(name string) string { return filepath.Join(dir, name) }
			args := func(age string) []string {
				return []string{"archive", "--database", url, "--older-than", age, "--to", file("segments"), "--key", file("checkpoint.key"), "--checkpoints", file("checkpoints.jsonl")}
			}
			for _, age := range []string{"x", "-1h", "1y", "99999d"} {
				if _, err := run(t, args(age)...); err == nil {
					t.Errorf("an age of %q was taken", age)
				}
			}
			if out, err := run(t, args("365d")...); err != nil || strings.Contains(out, "acme") || len(segments(t, dir)) > 0 {
				t.Errorf("of a year ago: %q: %v", out, err)
			}
			out, err := run(t, args("0s")...)
			if err != nil || !regexp.MustCompile(`acme: events 1 to \d+ are in acme-.*\.jsonl \(sha256 [0-9a-f]{64}\)`).MatchString(out) || len(segments(t, dir)) != 1 {
				t.Fatalf("%q: %v", out, err)
			}
			if out, err := run(t, args("0s")...); err != nil || strings.Contains(out, "events 1 ") {
				t.Errorf("again: %q: %v", out, err)
			}
			public, err := run(t, "checkpoint-key", file("checkpoint.key"))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file("checkpoint.pub"), []byte(public), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := run(t, "verify", segments(t, dir)[0], "--key", file("checkpoint.pub")); err != nil || !strings.Contains(out, "Intact up to event") {
				t.Errorf("%q: %v", out, err)
			}
			err = w.System.Look(t.Context(), w.Acme.ID, func(r *models.Reader) error {
				page, err := r.Events(models.EventFilter{Object: "web-1"})
				if len(page.Rows) > 0 {
					t.Errorf("still there: %+v", page.Rows)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// With the settings, whoever seals the history archives it too.
func TestHistoryIsArchivedAsConfigured(t *testing.T) {
	t.Parallel()
	w, _, dir := archiveRig(t, testkit.SQLiteURL(t))
	o := portalOptions{config: config.Config{
		Portal: config.Portal{CheckpointKeyFile: filepath.Join(dir, "checkpoint.key"), CheckpointFile: filepath.Join(dir, "checkpoints.jsonl")},
		// No file may say less than a day, for which a test can't wait.
		History: config.History{ArchiveDir: filepath.Join(dir, "segments")},
	}}
	service, err := o.histories(w.System, testkit.Quiet())
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); service.Run(ctx) }()
	defer func() { stop(); <-ended }()
	for deadline := time.Now().Add(time.Minute); len(segments(t, dir)) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing was archived")
		}
	}
}
