package audit

import (
	"context"
	"time"

	"github.com/millwright/millwright/models"
)

// DieAt has the service's node die at the steps of archiving that fn says.
func (s *Service) DieAt(fn func(step string) error) { s.die = fn }

// ArchiveEvery makes its day shorter.
func (s *Service) ArchiveEvery(d time.Duration) { s.archiveEvery = d }

// HoldSigning lets no checkpoint of the org be made until release.
func (s *Service) HoldSigning(ctx context.Context, org models.OrgID) (release func(), err error) {
	return s.signing.take(ctx, org)
}

// TrustCounts has events counted however new they are.
func (s *Service) TrustCounts() { s.young = -time.Hour }

// VerifyReading verifies, and calls before ahead of each look at the database.
func (s *Service) VerifyReading(ctx context.Context, org models.OrgID, before func()) (Report, error) {
	return s.verify(ctx, org, func(ctx context.Context, fn func(*models.Reader) error) error {
		before()
		return s.own(org)(ctx, fn)
	})
}
