package models

import (
	"strings"

	"github.com/google/uuid"
)

// Ids are UUIDv7 in text form: random enough that nobody guesses one, and in
// the order of their making, so that the primary key pages by age. Each noun
// has its own type, so that an org's id can't be passed for a machine's.
type (
	UserID           string
	SessionID        string
	CloudID          string
	TemplateID       string
	InstanceTypeID   string
	NetworkID        string
	MachineID        string
	TaskID           string
	EventID          string
	ConsoleSessionID string
	TokenID          string
	InvitationID     string
	MailID           string
)

// NewID returns a fresh id of the wanted noun.
func NewID[T ~string]() T {
	return T(uuid.Must(uuid.NewV7()).String())
}

// InstanceUUID is the vSphere instance UUID by which the machine is found
// again in its cloud. It is the id itself: set in the clone specification, so
// that a crash between the call and its answer never makes a second machine.
func (id MachineID) InstanceUUID() string { return string(id) }

// VMName is the machine's name in vSphere: the customer's name for the eye,
// the id so that vCenter's own DuplicateName guards against a second one.
// At most 63 characters of a–z, 0–9 and hyphens.
func VMName(name string, id MachineID) string {
	if len(name) > 26 {
		name = name[:26]
	}
	return strings.TrimRight(name, "-") + "-" + string(id)
}
