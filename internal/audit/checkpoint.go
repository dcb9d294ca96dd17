package audit

import (
	"context"
	"errors"
	"fmt"

	"github.com/millwright/millwright/models"
)

// ErrUnsigned says that no checkpoint was made because the history is not
// whole.
var ErrUnsigned = errors.New("audit: the history is not whole, and was not signed")

// Checkpoint signs the org's chain as it is now, after verifying it from the
// checkpoint before, and puts the signature outside the database first: a
// checkpoint that only the database has proves nothing against its owner.
// Where nothing was sealed since, the last one stands.
func (s *Service) Checkpoint(ctx context.Context, org models.OrgID) (models.AuditCheckpoint, error) {
	if !s.Signs() {
		return models.AuditCheckpoint{}, errors.New("audit: no checkpoint key")
	}
	done, err := s.signing.take(ctx, org)
	if err != nil {
		return models.AuditCheckpoint{}, err
	}
	defer done()
	last, err := s.trusted(ctx, org)
	if err != nil {
		return last, err
	}
	w := newWalker(org, nil)
	w.from(last)
	fault, err := s.walk(ctx, w, s.own(org))
	if err == nil && fault == nil {
		fault, err = s.stands(ctx, last)
	}
	if err != nil {
		return last, fmt.Errorf("verify from the last checkpoint: %w", err)
	}
	if fault != nil {
		return last, fmt.Errorf("%w: %s", ErrUnsigned, fault)
	}
	c := last
	if w.sequence > last.Sequence {
		c = s.key.sign(org, w.sequence, w.hash)
		if err := s.outside.Append(c); err != nil {
			return last, err
		}
	}
	if c.Sequence == 0 {
		return c, nil
	}
	return c, s.system.AppendCheckpoint(ctx, c)
}

// trusted is the checkpoint to begin from: the newest of ours that bears its
// signature, or a former key's of ours. Any other key's says nothing.
func (s *Service) trusted(ctx context.Context, org models.OrgID) (models.AuditCheckpoint, error) {
	public := s.public
	best := models.AuditCheckpoint{OrgID: org}
	if c := s.outside.Last(org); public.signed(c) {
		best = c
	}
	err := s.system.Look(ctx, org, func(r *models.Reader) error {
		c, err := r.LastCheckpoint()
		if c.Sequence > best.Sequence && public.signed(c) {
			best = c
		}
		return err
	})
	return best, err
}

// stands says whether the chain still has what the checkpoint was made over.
func (s *Service) stands(ctx context.Context, c models.AuditCheckpoint) (*Fault, error) {
	if c.Sequence == 0 {
		return nil, nil //nolint:nilnil // no fault and no error is what is hoped for
	}
	w := newWalker(c.OrgID, []models.AuditCheckpoint{c})
	var rows []models.LinkedEvent
	err := s.system.Look(ctx, c.OrgID, func(r *models.Reader) error {
		var err error
		rows, err = r.Links(c.Sequence-1, 1)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, row := range rows {
		w.sequence, w.hash, w.event = row.Link.Sequence, row.Link.Hash, row.Link.EventID
		if fault := w.check(); fault != nil {
			return fault, nil
		}
	}
	return w.end(), nil
}
