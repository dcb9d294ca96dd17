package audit

import "time"

// DieAt has the service's node die at the steps of archiving that fn says.
func (s *Service) DieAt(fn func(step string) error) { s.die = fn }

// ArchiveEvery makes its day shorter.
func (s *Service) ArchiveEvery(d time.Duration) { s.archiveEvery = d }
