package identity

import "context"

// CountFailure counts a failed sign-in without the hash that it costs.
func CountFailure(ctx context.Context, s *Service, a Attempt) error {
	_, err := s.countFailure(ctx, a)
	return err
}
