package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/millwright/millwright/internal/audit"
	"github.com/millwright/millwright/models"
)

type archiveCommand struct {
	database
	OlderThan   string   `help:"How old what is archived has to be, by the checkpoint that covers it: 365d, or 36h." required:""`
	To          string   `help:"The folder for the segment files. Keep it where the database's administrators have no access." required:"" type:"existingdir"`
	Key         string   `help:"The private key, as portal.checkpoint_key_file names it." required:"" type:"existingfile"`
	FormerKey   []string `help:"A public key that this one has followed; may be given again." type:"existingfile"`
	Checkpoints string   `help:"The file of checkpoints outside the database, as portal.checkpoint_file names it." required:""`
}

// age reads a duration that may be in days.
func age(text string) (time.Duration, error) {
	if days, found := strings.CutSuffix(text, "d"); found {
		n, err := strconv.ParseUint(days, 10, 15)
		if err != nil {
			return 0, fmt.Errorf("%q is not a number of days such as 365d", text)
		}
		return time.Duration(n) * 24 * time.Hour, nil // #nosec G115 -- fifteen bits
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not an age such as 365d or 36h", text)
	}
	return d, nil
}

func (a archiveCommand) Run(ctx context.Context, k *kong.Kong, log *slog.Logger) error {
	old, err := age(a.OlderThan)
	if err != nil {
		return err
	}
	key, err := audit.ReadKey(a.Key)
	if err != nil {
		return err
	}
	former, err := publicKeys(a.FormerKey)
	if err != nil {
		return err
	}
	outside, err := audit.OpenOutside(a.Checkpoints)
	if err != nil {
		return err
	}
	// No secret is sealed or opened here, so any key does.
	db, err := models.Open(ctx, models.Options{URL: a.Database, Key: make([]byte, 32), Logger: log})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	system := db.System()
	orgs, err := system.Chains(ctx)
	if err != nil {
		return err
	}
	service := audit.New(system, audit.Options{Key: key, Former: former, Outside: outside, Logger: log})
	var failed error
	for _, org := range orgs { // one that can't be archived doesn't keep the others
		segments, err := service.Archive(ctx, org, time.Now().Add(-old), a.To)
		for _, s := range segments {
			_, _ = fmt.Fprintf(k.Stdout, "%s: events %d to %d are in %s (sha256 %s)\n", org.Slug, s.FirstSequence, s.LastSequence, s.File, s.SHA256)
		}
		failed = errors.Join(failed, err)
	}
	return failed
}
