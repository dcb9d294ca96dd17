package console

import (
	"context"

	"github.com/millwright/millwright/models"
)

// VMRC makes an operator's link to a machine for VMware Remote Console. The
// history is told before the link is handed out.
func (s *Service) VMRC(ctx context.Context, provider *models.Provider, m models.Machine) (string, error) {
	away := &models.Error{Code: models.CodeDown, Message: "The machine's cloud gives no link just now."}
	clouds, ok := s.screens.(Clients)
	if !ok || clouds(m.CloudID) == nil {
		return "", away
	}
	link, err := clouds(m.CloudID).VMRCLink(ctx, m.ID.InstanceUUID())
	if err != nil {
		s.log.DebugContext(ctx, "no VMRC link", "kind", kindOf(err))
		return "", away
	}
	return link, provider.RecordVMRC(ctx, m)
}
