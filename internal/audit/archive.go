package audit

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/millwright/millwright/models"
)

const (
	// segmentMax is about how many events a segment has at most: it ends at a
	// checkpoint.
	segmentMax = 50_000
	// archiveEvery is how often the sealer's node archives.
	archiveEvery = 24 * time.Hour
)

// Archiving says what is moved out of the database, and where to.
type Archiving struct {
	OlderThan time.Duration
	Dir       string // a folder that the database's owner can't write
}

// Archive moves what was signed before then out of the database, into signed
// files. The order is what keeps it: the file is written, flushed, named, read
// back and verified; then it is recorded; then, and only then, the database
// gives up the events that the file has, and holds whoever asks to just these.
// Whatever breaks off, nothing is lost, and the next call goes on.
func (s *Service) Archive(ctx context.Context, org models.Org, before time.Time, dir string) (made []models.AuditSegment, err error) {
	if !s.Signs() {
		return nil, errors.New("audit: without a checkpoint key nothing can be archived: a segment is signed")
	}
	err = s.system.Exclusively(ctx, "audit/archive", func(ctx context.Context) error {
		for {
			segment, err := s.archiveNext(ctx, org, before, dir)
			if err != nil || segment == nil {
				return err
			}
			made = append(made, *segment)
		}
	})
	if err != nil {
		err = fmt.Errorf("archive the history of %s: %w", org.Slug, err)
	}
	return made, err
}

func (s *Service) archiveNext(ctx context.Context, org models.Org, before time.Time, dir string) (*models.AuditSegment, error) {
	last, held, err := s.lastSegment(ctx, org.ID)
	if err != nil {
		return nil, err
	}
	if held { // it was recorded, and the removal broke off
		if err := s.checkSegment(last, dir); err != nil {
			return nil, err
		}
		if err := s.remove(ctx, last); err != nil {
			return nil, err
		}
	}
	end, after, err := s.segmentEnds(ctx, org.ID, last, before)
	if err != nil || end.Sequence == 0 {
		return nil, err
	}
	if end.KeyID != s.key.Public().ID() {
		// A segment bears one key's name. What a former one said here, and is
		// verified below, the new one says again.
		end = s.key.sign(org.ID, end.Sequence, end.Hash)
	}
	segment := models.AuditSegment{OrgID: org.ID, FirstSequence: last.LastSequence + 1, LastSequence: end.Sequence, Hash: end.Hash}
	// The org's id is in the name as well: a slug may have a second life.
	segment.File = fmt.Sprintf("%s-%s-%012d-%012d.jsonl", org.Slug, org.ID, segment.FirstSequence, segment.LastSequence)
	if segment.SHA256, err = s.writeSegment(ctx, org, segment, after, end, dir); err != nil {
		return nil, err
	}
	s.key.signSegment(&segment)
	if err := s.checkSegment(segment, dir); err != nil {
		return nil, err
	}
	if err := s.at("checked"); err != nil {
		return nil, err
	}
	// The database knows the checkpoint too: it asks for it.
	if err := s.system.AppendCheckpoint(ctx, end); err != nil {
		return nil, err
	}
	err = s.system.AppendSegment(ctx, segment, models.SystemActor, models.Event{Action: models.ActionHistoryArchive, Outcome: models.OutcomeSucceeded,
		Object: object(org), After: map[string]any{"first": segment.FirstSequence, "last": segment.LastSequence, "file": segment.File, "sha256": segment.SHA256}})
	if err == nil {
		err = s.at("recorded")
	}
	if err == nil {
		err = s.remove(ctx, segment)
	}
	return &segment, err
}

func (s *Service) remove(ctx context.Context, segment models.AuditSegment) error {
	if err := s.system.RemoveArchived(ctx, segment); err != nil {
		return err
	}
	return s.at("removed")
}

// at is where a test lets the node die.
func (s *Service) at(step string) error {
	if s.die == nil {
		return nil
	}
	return s.die(step)
}

// lastSegment is where archiving goes on, and whether the database still has
// events of it.
func (s *Service) lastSegment(ctx context.Context, org models.OrgID) (last models.AuditSegment, held bool, err error) {
	err = s.system.Look(ctx, org, func(r *models.Reader) error {
		if last, err = r.LastSegment(); err != nil || last.LastSequence == 0 {
			return err
		}
		held, err = r.Holds(last)
		return err
	})
	if err == nil && last.LastSequence > 0 && !s.public.signedSegment(last) {
		err = fmt.Errorf("segment %s was not signed by this key", last.File)
	}
	return last, held, err
}

// segmentEnds finds the checkpoint at which the next segment ends, and the one
// behind which it begins. A zero end says that there is nothing to archive.
func (s *Service) segmentEnds(ctx context.Context, org models.OrgID, last models.AuditSegment, before time.Time) (end, after models.AuditCheckpoint, err error) {
	all, err := s.known(ctx, org, s.own(org))
	if err != nil {
		return end, after, err
	}
	ours, _, forged := s.public.sift(org, all)
	if forged != nil {
		return end, after, fmt.Errorf("%w: %s", ErrUnsigned, forged)
	}
	for _, c := range newWalker(org, ours).checkpoints { // by sequence
		switch {
		case c.Sequence == last.LastSequence && c.Hash == last.Hash:
			after = c
		case c.Sequence <= last.LastSequence || !c.At.Before(before):
		case end.Sequence == 0 || c.Sequence-last.LastSequence <= segmentMax:
			end = c
		}
	}
	if last.LastSequence > 0 && after.Sequence == 0 {
		return models.AuditCheckpoint{}, after, fmt.Errorf("the checkpoint at the end of %s is gone", last.File)
	}
	return end, after, nil
}

// writeSegment writes the file and waits until the disk has it, under its name.
func (s *Service) writeSegment(ctx context.Context, org models.Org, segment models.AuditSegment, after, end models.AuditCheckpoint, dir string) (string, error) {
	path := filepath.Join(dir, segment.File)
	file, err := os.OpenFile(path+".part", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600) // #nosec G304 -- the operator's folder
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	err = s.streamSegment(ctx, io.MultiWriter(file, sum), org, segment, after, end)
	if err == nil {
		err = s.at("written")
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return "", err
	}
	if err := os.Rename(path+".part", path); err != nil {
		return "", err
	}
	folder, err := os.Open(dir) // #nosec G304 -- the operator's folder
	if err != nil {
		return "", err
	}
	if err = errors.Join(folder.Sync(), folder.Close(), s.at("named")); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

func (s *Service) streamSegment(ctx context.Context, w io.Writer, org models.Org, segment models.AuditSegment, after, end models.AuditCheckpoint) error {
	head := header{Export: exportForm, Org: org.ID, Slug: org.Slug, At: models.Now(), Complete: true}
	if after.Sequence > 0 {
		head.After = &after
	}
	b, err := appendObject(nil, head)
	if err != nil {
		return err
	}
	var failed error
	err = places(ctx, s.own(org.ID), after.Sequence, func(rows []models.LinkedEvent) bool {
		for _, row := range rows {
			if row.Link.Sequence > end.Sequence {
				return false
			}
			e := entryOf(row)
			b = appendEntry(b, &e)
		}
		_, failed = w.Write(b)
		b = b[:0]
		return failed == nil && rows[len(rows)-1].Link.Sequence < end.Sequence
	})
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	if b, err = appendObject(b, checkpointLine{end}); err != nil {
		return err
	}
	if b, err = appendObject(b, footer{End: true, Sealed: segment.LastSequence}); err != nil {
		return err
	}
	_, err = w.Write(b)
	return err
}

// checkSegment reads the file back, as anybody would with the public key.
func (s *Service) checkSegment(segment models.AuditSegment, dir string) error {
	file, err := os.Open(filepath.Join(dir, segment.File)) // #nosec G304 -- the operator's folder
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	sum := sha256.New()
	if _, err := io.Copy(sum, file); err != nil {
		return err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	report, err := VerifyExport(file, s.public, nil)
	switch {
	case err != nil:
		return err
	case hex.EncodeToString(sum.Sum(nil)) != segment.SHA256:
		return fmt.Errorf("segment %s is not what was written", segment.File)
	case !report.Intact() || report.From != segment.FirstSequence || report.Signed != segment.LastSequence || report.Sealed != segment.LastSequence:
		return fmt.Errorf("%w: segment %s: %s", ErrUnsigned, segment.File, report)
	}
	return nil
}

// archiveAll archives every history, day by day, where it is asked for.
func (s *Service) archiveAll(ctx context.Context) {
	tick := time.NewTicker(s.archiveEvery)
	defer tick.Stop()
	for {
		orgs, err := s.system.Chains(ctx)
		for _, org := range orgs {
			if _, err := s.Archive(ctx, org, time.Now().Add(-s.archiving.OlderThan), s.archiving.Dir); err != nil && ctx.Err() == nil {
				s.log.ErrorContext(ctx, "a history could not be archived", "org", org.ID, "error", err)
			}
		}
		if err != nil && ctx.Err() == nil {
			s.log.ErrorContext(ctx, "the histories could not be archived", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// archived is up to where segments of this key have the texts, from the first
// event on without a gap.
func (s *Service) archived(ctx context.Context, read look) (upTo int64, ends []models.AuditCheckpoint, err error) {
	if s.key == nil {
		return 0, nil, nil
	}
	var segments []models.AuditSegment
	err = read(ctx, func(r *models.Reader) error {
		segments, err = r.Segments()
		return err
	})
	for _, segment := range segments {
		if segment.FirstSequence != upTo+1 || !s.public.signedSegment(segment) {
			break
		}
		upTo = segment.LastSequence
		ends = append(ends, models.AuditCheckpoint{OrgID: segment.OrgID, Sequence: segment.LastSequence, Hash: segment.Hash, At: segment.At, KeyID: segment.KeyID})
	}
	return upTo, ends, err
}
