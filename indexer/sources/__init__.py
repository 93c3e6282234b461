"""Where photos are: folders of this machine, buckets, web servers, and archives in any of them."""
