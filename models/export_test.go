package models

import "gorm.io/gorm"

// Gorm is the transaction's own handle, for tests of what it lets through.
func (r *Reader) Gorm() *gorm.DB { return r.tx }

// WritesBody is the quick half of BodyMatches.
func WritesBody(e *AuditEvent) bool { return e.writesBody() }
