package qupath.lib.gui.viewer.overlays;

import java.awt.Graphics2D;
import java.awt.image.BufferedImage;
import qupath.lib.gui.viewer.OverlayOptions;
import qupath.lib.images.ImageData;
import qupath.lib.regions.ImageRegion;

public interface PathOverlay {
    void paintOverlay(Graphics2D g, ImageRegion region, double downsample, ImageData<BufferedImage> data,
                      boolean completely);
}

public abstract class AbstractOverlay implements PathOverlay {
    protected AbstractOverlay(OverlayOptions options) {}
}
