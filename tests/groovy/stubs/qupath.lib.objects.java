package qupath.lib.objects;

import java.util.Collection;
import java.util.UUID;
import qupath.lib.objects.classes.PathClass;
import qupath.lib.roi.interfaces.ROI;

public abstract class PathObject {
    public native UUID getID();
    public native String getName();
    public native Integer getColor();
    public native PathClass getPathClass();
    public native ROI getROI();
    public native boolean hasROI();
    public native boolean isRootObject();
    public native PathObject getParent();
    public native Collection<PathObject> getChildObjects();
    public native void addChildObject(PathObject child);
    public native void removeChildObjects(Collection<PathObject> children);
}
